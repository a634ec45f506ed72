// SPDX-License-Identifier: LGPL-2.1-or-later
// See minidump_script.h.
#include "minidump_script.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct target *target;

static void preset(struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
		   MINIDUMP_CALLBACK_OUTPUT *output)
{
	ULONG type = input->CallbackType;

	if (type == IsProcessSnapshotCallback || type == VmStartCallback) {
		assert_int_equal(input->ProcessId, 0);
		assert_int_equal((uint32_t)output->Status, (uint32_t)E_NOTIMPL);
	} else {
		script->process_id = input->ProcessId;
	}
	assert_ptr_equal(input->ProcessHandle, script->process);
}

static void answer_memory(ULONG64 *page, MINIDUMP_CALLBACK_OUTPUT *output)
{
	output->MemoryBase = *page;
	output->MemorySize = *page ? PAGE : 0;
	*page = 0;
}

static void answer_io(struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
		      MINIDUMP_CALLBACK_OUTPUT *output)
{
	if (input->CallbackType == IoFinishCallback) {
		script->is_io_finished = true;
	} else {
		assert_true(input->Io.Offset + input->Io.BufferBytes <= IO_ROOM);
		memcpy(script->io + input->Io.Offset, input->Io.Buffer, input->Io.BufferBytes);
		if (script->io_size < input->Io.Offset + input->Io.BufferBytes)
			script->io_size = input->Io.Offset + input->Io.BufferBytes;
	}
	output->Status = S_OK;
}

static void answer_reads(struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
			 MINIDUMP_CALLBACK_OUTPUT *output)
{
	bool is_before = input->CallbackType == VmPreReadCallback;
	ULONG64 at = is_before ? input->VmPreRead.Offset : input->VmPostRead.Offset;
	ULONG size = is_before ? input->VmPreRead.Size : input->VmPostRead.Completed;
	uint8_t *buffer = is_before ? input->VmPreRead.Buffer : input->VmPostRead.Buffer;

	if (!script->patched || at > script->patched || at + size < script->patched + 8 ||
	    is_before == script->patches_after)
		return;
	if (is_before)
		memset(buffer, 0x5a, size);
	else
		memset(buffer + (script->patched - at), 0xa5, 8);
	output->VmReadStatus = S_OK;
	output->VmReadBytesCompleted = size;
}

static BOOL WINAPI callback(PVOID param, PMINIDUMP_CALLBACK_INPUT input,
			    PMINIDUMP_CALLBACK_OUTPUT output)
{
	struct script *script = param;

	assert_true(input->CallbackType < QUESTIONS);
	script->asked[input->CallbackType]++;
	preset(script, input, output);
	switch (input->CallbackType) {
	case IsProcessSnapshotCallback:
		output->Status = script->is_snapshot;
		break;
	case VmStartCallback:
		output->Status = script->vm_start;
		break;
	case IoStartCallback:
		output->Status = script->io_start;
		break;
	case IoWriteAllCallback:
	case IoFinishCallback:
		answer_io(script, input, output);
		break;
	case ReadMemoryFailureCallback:
		output->Status = script->read_failure;
		break;
	case IncludeThreadCallback:
		return input->IncludeThread.ThreadId != script->excluded_thread;
	case IncludeModuleCallback:
		return input->IncludeModule.BaseOfImage != script->excluded_module;
	case CancelCallback:
		output->CheckCancel = TRUE;
		output->Cancel = script->cancels;
		break;
	case MemoryCallback:
		answer_memory(&script->memory, output);
		break;
	case RemoveMemoryCallback:
		answer_memory(&script->removed, output);
		break;
	case IncludeVmRegionCallback:
		if (script->region >= output->VmRegion.BaseAddress &&
		    script->region < output->VmRegion.BaseAddress + output->VmRegion.RegionSize) {
			output->VmRegion.BaseAddress = script->region;
			output->VmRegion.RegionSize = PAGE;
		}
		break;
	case VmPreReadCallback:
	case VmPostReadCallback:
		answer_reads(script, input, output);
		break;
	case ThreadExCallback:
		return !script->is_of_x86;
	default:
		break;
	}
	return TRUE;
}

struct script plain_script(HANDLE process)
{
	return (struct script){
		.process = process,
		.is_snapshot = S_FALSE,
		.vm_start = S_OK,
		.read_failure = E_NOTIMPL,
	};
}

struct written write_with(HANDLE process, uint32_t type, struct script *script,
			  MINIDUMP_EXCEPTION_INFORMATION *exception,
			  MINIDUMP_USER_STREAM_INFORMATION *streams)
{
	// Without a script there is a callback to be asked, and no routine.
	MINIDUMP_CALLBACK_INFORMATION information = { script ? callback : NULL, script };
	struct written written = { .fd = memfd_create("dump", MFD_CLOEXEC) };
	struct stat status;

	assert_true(written.fd >= 3);
	SetLastError(4711);
	written.result =
		MiniDumpWriteDump(process, (DWORD)target->pid, (HANDLE)(intptr_t)written.fd,
				  (MINIDUMP_TYPE)type, exception, streams, &information);
	written.error = GetLastError();
	assert_int_equal(fstat(written.fd, &status), 0);
	written.dump.size = (size_t)status.st_size;
	if (written.dump.size > 0) {
		written.dump.bytes =
			mmap(NULL, written.dump.size, PROT_READ, MAP_PRIVATE, written.fd, 0);
		assert_ptr_not_equal(written.dump.bytes, MAP_FAILED);
	}
	if (written.result && written.dump.size > 0 && !minidump_check(&written.dump))
		harness_fail("the dump is damaged: %s", written.dump.fault);
	return written;
}

void forget(struct written *written)
{
	if (written->dump.size > 0)
		munmap((void *)(uintptr_t)written->dump.bytes, written->dump.size);
	close(written->fd);
}

void assert_written(const struct written *written)
{
	if (!written->result)
		harness_fail("no dump: %#x, %s", written->error, PssxErrorText());
	assert_int_equal(written->error, 4711);
	assert_true(written->dump.size > 0);
}

void assert_failed(const struct written *written, uint32_t result)
{
	assert_false(written->result);
	assert_int_equal(written->error, result);
	assert_true(PssxErrorText()[0] != '\0');
}

HPSS capture_as_documented(uint32_t without)
{
	uint32_t flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES |
			 PSS_CAPTURE_HANDLE_NAME_INFORMATION |
			 PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
			 PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION | PSS_CAPTURE_HANDLE_TRACE |
			 PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
			 PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CREATE_USE_VM_ALLOCATIONS |
			 PSS_CREATE_RELEASE_SECTION;

	return harness_capture(target, flags & ~without);
}

int start_target(void **state)
{
	(void)state;
	target = target_start("plain", "3", NULL);
	return 0;
}

int stop_target(void **state)
{
	(void)state;
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}
