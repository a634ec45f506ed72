// SPDX-License-Identifier: LGPL-2.1-or-later
// The questions of minidump_ask.h, one function each. What a callback does not know it leaves as
// it is: that never harms the dump. FALSE does for what it is asked of each thread and module:
// those stay out.
#include "minidump_ask.h"

#include <errno.h>
#include <string.h>

// Status as it is before the callback sees it: a callback that does not know the question leaves
// it.
#define PRESET_STATUS E_NOTIMPL

// Part of the memory, or none, could be read.
#define PARTIAL_COPY ((HRESULT)0x8007012B)

static bool ask_one(struct pss_minidump_ask *ask, ULONG type, MINIDUMP_CALLBACK_INPUT *input,
		    MINIDUMP_CALLBACK_OUTPUT *output)
{
	if (!ask->callback || !ask->callback->CallbackRoutine)
		return false;
	input->ProcessId = ask->process_id;
	input->ProcessHandle = ask->process;
	input->CallbackType = type;
	return ask->callback->CallbackRoutine(ask->callback->CallbackParam, input, output);
}

// A question whose answer is a status. It is asked of nobody in particular: no process number.
static HRESULT ask_status(struct pss_minidump_ask *ask, ULONG type, MINIDUMP_CALLBACK_INPUT *input)
{
	MINIDUMP_CALLBACK_OUTPUT output;
	ULONG process_id = ask->process_id;

	memset(&output, 0, sizeof output);
	output.Status = PRESET_STATUS;
	if (type == IsProcessSnapshotCallback || type == VmStartCallback)
		ask->process_id = 0;
	bool is_answered = ask_one(ask, type, input, &output);
	ask->process_id = process_id;
	return is_answered ? output.Status : PRESET_STATUS;
}

static HRESULT ask_plain(struct pss_minidump_ask *ask, ULONG type)
{
	MINIDUMP_CALLBACK_INPUT input;

	memset(&input, 0, sizeof input);
	return ask_status(ask, type, &input);
}

bool pss_minidump_ask_is_snapshot(struct pss_minidump_ask *ask)
{
	return ask_plain(ask, IsProcessSnapshotCallback) == S_FALSE;
}

void pss_minidump_ask_begin(struct pss_minidump_ask *ask, bool is_snapshot)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	if (is_snapshot)
		ask->has_vm = ask_plain(ask, VmStartCallback) == S_FALSE;
	// There is nothing of what the flags leave out: whatever the answer, it changes nothing.
	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	input.SecondaryFlags = MiniSecondaryValidFlags;
	(void)ask_one(ask, SecondaryFlagsCallback, &input, &output);
}

int pss_minidump_ask_cancel(struct pss_minidump_ask *ask)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	if (ask->is_done_with_cancel)
		return 0;
	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	bool is_answered = ask_one(ask, CancelCallback, &input, &output);
	ask->is_done_with_cancel = !is_answered || !output.CheckCancel;
	return is_answered && output.Cancel ? -ECANCELED : 0;
}

bool pss_minidump_ask_io_start(struct pss_minidump_ask *ask)
{
	MINIDUMP_CALLBACK_INPUT input;

	memset(&input, 0, sizeof input);
	input.Io.Handle = ask->file;
	return ask_status(ask, IoStartCallback, &input) == S_FALSE;
}

static int end_with(struct pss_minidump_ask *ask, HRESULT status, int error)
{
	// That he does not know the question is no reason that anybody would understand.
	ask->failure = status == E_NOTIMPL ? 0 : status;
	return error;
}

int pss_minidump_ask_write(void *context, const void *bytes, size_t size, uint64_t position)
{
	struct pss_minidump_ask *ask = context;
	const uint8_t *next = bytes;

	while (size > 0) {
		ULONG piece = size > INT32_MAX ? INT32_MAX : (ULONG)size;
		MINIDUMP_CALLBACK_INPUT input;

		memset(&input, 0, sizeof input);
		input.Io.Handle = ask->file;
		input.Io.Offset = position;
		input.Io.Buffer = (void *)(uintptr_t)next;
		input.Io.BufferBytes = piece;
		HRESULT status = ask_status(ask, IoWriteAllCallback, &input);
		if (status != S_OK)
			return end_with(ask, status, -EIO);
		next += piece;
		position += piece;
		size -= piece;
	}
	return 0;
}

int pss_minidump_ask_io_finish(struct pss_minidump_ask *ask)
{
	MINIDUMP_CALLBACK_INPUT input;

	memset(&input, 0, sizeof input);
	input.Io.Handle = ask->file;
	HRESULT status = ask_status(ask, IoFinishCallback, &input);
	return status == S_OK ? 0 : end_with(ask, status, -EIO);
}

// One of the questions about a thread or a module: what is told of it, and what FALSE does.
struct subject {
	ULONG type;
	const void *about; // as it stands in the input
	size_t size;
	bool may_be_unknown; // FALSE says no more than that the callback does not know the question
};

// All the members are alike: what is told begins at one place, the flags are at one.
_Static_assert(offsetof(MINIDUMP_CALLBACK_INPUT, Module) ==
			       offsetof(MINIDUMP_CALLBACK_INPUT, ThreadEx) &&
		       offsetof(MINIDUMP_CALLBACK_INPUT, IncludeModule) ==
			       offsetof(MINIDUMP_CALLBACK_INPUT, IncludeThread) &&
		       offsetof(MINIDUMP_CALLBACK_INPUT, Module) ==
			       offsetof(MINIDUMP_CALLBACK_INPUT, IncludeThread),
	       "a union");
_Static_assert(offsetof(MINIDUMP_CALLBACK_OUTPUT, ModuleWriteFlags) ==
		       offsetof(MINIDUMP_CALLBACK_OUTPUT, ThreadWriteFlags),
	       "a union");

// Asks one question after the other; each answer may take from @flags. False: it stays out.
static bool ask_flags(struct pss_minidump_ask *ask, const struct subject *subjects, size_t count,
		      ULONG *flags)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	for (size_t i = 0; i < count; i++) {
		memset(&input, 0, sizeof input);
		memset(&output, 0, sizeof output);
		memcpy((uint8_t *)&input + offsetof(MINIDUMP_CALLBACK_INPUT, Module),
		       subjects[i].about, subjects[i].size);
		output.ModuleWriteFlags = *flags;
		if (ask_one(ask, subjects[i].type, &input, &output))
			*flags &= output.ModuleWriteFlags;
		else if (!subjects[i].may_be_unknown)
			return false;
	}
	return true;
}

bool pss_minidump_ask_thread(struct pss_minidump_ask *ask,
			     const MINIDUMP_THREAD_EX_CALLBACK *thread, ULONG *flags)
{
	const MINIDUMP_INCLUDE_THREAD_CALLBACK include = { .ThreadId = thread->ThreadId };
	const struct subject subjects[] = {
		{ IncludeThreadCallback, &include, sizeof include, false },
		{ ThreadCallback, thread, sizeof *thread, false },
		// A callback written for x86 says FALSE: it was never asked that.
		{ ThreadExCallback, thread, sizeof *thread, true },
	};

	return !ask->callback ||
	       (ask_flags(ask, subjects, sizeof subjects / sizeof subjects[0], flags) &&
		*flags & ThreadWriteThread);
}

bool pss_minidump_ask_module(struct pss_minidump_ask *ask, const MINIDUMP_MODULE_CALLBACK *module,
			     ULONG *flags)
{
	const MINIDUMP_INCLUDE_MODULE_CALLBACK include = { .BaseOfImage = module->BaseOfImage };
	const struct subject subjects[] = {
		{ IncludeModuleCallback, &include, sizeof include, false },
		{ ModuleCallback, module, sizeof *module, false },
	};

	return !ask->callback ||
	       (ask_flags(ask, subjects, sizeof subjects / sizeof subjects[0], flags) &&
		*flags & ModuleWriteModule);
}

static bool ask_range(struct pss_minidump_ask *ask, ULONG type, uint64_t *base_ret,
		      uint64_t *size_ret)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	if (!ask_one(ask, type, &input, &output) || output.MemorySize == 0)
		return false;
	*base_ret = output.MemoryBase;
	*size_ret = output.MemorySize;
	return true;
}

bool pss_minidump_ask_memory(struct pss_minidump_ask *ask, uint64_t *base_ret, uint64_t *size_ret)
{
	return ask_range(ask, MemoryCallback, base_ret, size_ret);
}

bool pss_minidump_ask_remove(struct pss_minidump_ask *ask, uint64_t *base_ret, uint64_t *size_ret)
{
	return ask_range(ask, RemoveMemoryCallback, base_ret, size_ret);
}

void pss_minidump_ask_region(struct pss_minidump_ask *ask, MINIDUMP_MEMORY_INFO *region)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	if (ask->is_done_with_regions)
		return;
	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	memcpy(&output.VmRegion, region, sizeof *region);
	output.Continue = TRUE;
	if (!ask_one(ask, IncludeVmRegionCallback, &input, &output))
		return;
	ask->is_done_with_regions = !output.Continue;
	region->BaseAddress = output.VmRegion.BaseAddress;
	region->RegionSize = output.VmRegion.RegionSize;
}

void pss_minidump_ask_vm_query(struct pss_minidump_ask *ask, MINIDUMP_MEMORY_INFO *region)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	if (!ask->has_vm)
		return;
	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	input.VmQuery.Offset = region->BaseAddress;
	output.VmQueryStatus = PRESET_STATUS;
	memcpy(&output.VmQueryResult, region, sizeof *region);
	if (ask_one(ask, VmQueryCallback, &input, &output) && output.VmQueryStatus == S_OK)
		memcpy(region, &output.VmQueryResult, sizeof *region);
}

bool pss_minidump_ask_pre_read(struct pss_minidump_ask *ask, uint64_t address, void *buffer,
			       size_t size, size_t *done_ret)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	if (!ask->has_vm)
		return false;
	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	input.VmPreRead.Offset = address;
	input.VmPreRead.Buffer = buffer;
	input.VmPreRead.Size = (ULONG)size;
	output.VmReadStatus = PRESET_STATUS;
	if (!ask_one(ask, VmPreReadCallback, &input, &output) || output.VmReadStatus != S_OK ||
	    output.VmReadBytesCompleted > size)
		return false;
	*done_ret = output.VmReadBytesCompleted;
	return true;
}

void pss_minidump_ask_post_read(struct pss_minidump_ask *ask, uint64_t address, void *buffer,
				size_t size, size_t done, int error)
{
	MINIDUMP_CALLBACK_INPUT input;
	MINIDUMP_CALLBACK_OUTPUT output;

	if (!ask->has_vm)
		return;
	memset(&input, 0, sizeof input);
	memset(&output, 0, sizeof output);
	input.VmPostRead.Offset = address;
	input.VmPostRead.Buffer = buffer;
	input.VmPostRead.Size = (ULONG)size;
	input.VmPostRead.Completed = (ULONG)done;
	input.VmPostRead.Status = error ? PARTIAL_COPY : S_OK;
	output.VmReadStatus = input.VmPostRead.Status;
	output.VmReadBytesCompleted = (ULONG)done;
	(void)ask_one(ask, VmPostReadCallback, &input, &output);
}

int pss_minidump_ask_unreadable(void *context, uint64_t address, uint64_t size)
{
	struct pss_minidump_ask *ask = context;
	MINIDUMP_CALLBACK_INPUT input;

	if (ask->ignores_holes)
		return 0;
	memset(&input, 0, sizeof input);
	input.ReadMemoryFailure.Offset = address;
	input.ReadMemoryFailure.Bytes = (ULONG)size;
	input.ReadMemoryFailure.FailureStatus = PARTIAL_COPY;
	HRESULT status = ask_status(ask, ReadMemoryFailureCallback, &input);
	return status == S_OK ? 0 : end_with(ask, status, -EFAULT);
}
