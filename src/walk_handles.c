// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors in the words of PSS_HANDLE_ENTRY: which object of Windows' each kind is, and which
// groups of the entry are valid.
#include "walk_handles.h"

#include <fcntl.h>
#include <stdbool.h>

#include "winvalue.h"

enum {
	INHERIT = 0x2,               // OBJ_INHERIT
	GENERIC_TO_READ = 0x120089,  // FILE_GENERIC_READ
	GENERIC_TO_WRITE = 0x120116, // FILE_GENERIC_WRITE
	ATTRIBUTES_ONLY = 0x120080,  // what both have, and FILE_READ_ATTRIBUTES
};

#define TYPE(text, type)                                                                           \
	{                                                                                          \
		u"" text, sizeof u"" text - sizeof(WCHAR), type                                    \
	}

static const struct handle_type {
	const WCHAR *name;
	WORD name_size; // terminator not counted
	PSS_OBJECT_TYPE type;
} types[PSS_HANDLE_KIND_COUNT] = {
	[PSS_HANDLE_KIND_UNKNOWN] = TYPE("Unknown", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_FILE] = TYPE("File", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_DIRECTORY] = TYPE("Directory", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_PATH] = TYPE("Path", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_PIPE] = TYPE("Pipe", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_SOCKET] = TYPE("Socket", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_DEVICE] = TYPE("Device", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_EVENT] = TYPE("Event", PSS_OBJECT_TYPE_EVENT),
	[PSS_HANDLE_KIND_SEMAPHORE] = TYPE("Semaphore", PSS_OBJECT_TYPE_SEMAPHORE),
	[PSS_HANDLE_KIND_PROCESS] = TYPE("Process", PSS_OBJECT_TYPE_PROCESS),
	[PSS_HANDLE_KIND_THREAD] = TYPE("Thread", PSS_OBJECT_TYPE_THREAD),
	[PSS_HANDLE_KIND_SECTION] = TYPE("Section", PSS_OBJECT_TYPE_SECTION),
	[PSS_HANDLE_KIND_TIMER] = TYPE("Timer", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_SIGNAL] = TYPE("Signal", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_EPOLL] = TYPE("Epoll", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_INOTIFY] = TYPE("Inotify", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_FANOTIFY] = TYPE("Fanotify", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_IO_RING] = TYPE("IoRing", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_USERFAULT] = TYPE("Userfault", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_BPF] = TYPE("Bpf", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_PERF_EVENT] = TYPE("PerfEvent", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_DMA_BUFFER] = TYPE("DmaBuf", PSS_OBJECT_TYPE_UNKNOWN),
	[PSS_HANDLE_KIND_OTHER] = TYPE("Unknown", PSS_OBJECT_TYPE_UNKNOWN),
};

static LONG saturate(uint64_t value)
{
	return value > INT32_MAX ? INT32_MAX : (LONG)value;
}

static DWORD exit_status(const struct pss_handle_task *task)
{
	return task->flags & PSS_PROCESS_EXITED ? pss_winvalue_exit_code(task->exit_status)
						: STILL_ACTIVE;
}

static void fill_process(const struct pss_handle_task *task, PSS_HANDLE_ENTRY *value)
{
	value->TypeSpecificInformation.Process.ExitStatus = exit_status(task);
	value->TypeSpecificInformation.Process.AffinityMask = task->affinity_mask;
	value->TypeSpecificInformation.Process.BasePriority =
		pss_winvalue_base_priority(task->policy, task->nice);
	value->TypeSpecificInformation.Process.ProcessId = (DWORD)task->pid;
	value->TypeSpecificInformation.Process.ParentProcessId = (DWORD)task->parent_pid;
	value->TypeSpecificInformation.Process.Flags =
		task->flags & PSS_PROCESS_FROZEN ? PSS_PROCESS_FLAGS_FROZEN : 0;
}

static void fill_thread(const struct pss_handle_task *task, PSS_HANDLE_ENTRY *value)
{
	value->TypeSpecificInformation.Thread.ExitStatus = exit_status(task);
	value->TypeSpecificInformation.Thread.ProcessId = (DWORD)task->pid;
	value->TypeSpecificInformation.Thread.ThreadId = (DWORD)task->tid;
	value->TypeSpecificInformation.Thread.AffinityMask = task->affinity_mask;
	value->TypeSpecificInformation.Thread.Priority =
		pss_winvalue_priority(task->policy, task->nice, task->rt_priority);
	value->TypeSpecificInformation.Thread.BasePriority =
		pss_winvalue_base_priority(task->policy, task->nice);
}

/** Whether there was something to say. */
static bool fill_union(const struct pss_handle_record *handle, PSS_HANDLE_ENTRY *value)
{
	uint32_t needed = 0;

	switch (value->ObjectType) {
	case PSS_OBJECT_TYPE_PROCESS:
		needed = PSS_HANDLE_HAS_TASK_STATE;
		if (handle->flags & needed)
			fill_process(&handle->task, value);
		break;
	case PSS_OBJECT_TYPE_THREAD:
		needed = PSS_HANDLE_HAS_TASK_STATE;
		if (handle->flags & needed)
			fill_thread(&handle->task, value);
		break;
	case PSS_OBJECT_TYPE_EVENT:
		needed = PSS_HANDLE_HAS_COUNT;
		// To wait for an eventfd leaves it as it is; to read it is another thing.
		value->TypeSpecificInformation.Event.ManualReset = handle->flags & needed ? 1 : 0;
		value->TypeSpecificInformation.Event.Signaled =
			handle->flags & needed && handle->count > 0;
		break;
	case PSS_OBJECT_TYPE_SEMAPHORE:
		needed = PSS_HANDLE_HAS_COUNT;
		if (!(handle->flags & needed))
			break;
		value->TypeSpecificInformation.Semaphore.CurrentCount = saturate(handle->count);
		value->TypeSpecificInformation.Semaphore.MaximumCount = INT32_MAX;
		break;
	case PSS_OBJECT_TYPE_SECTION:
		needed = PSS_HANDLE_HAS_INODE;
		if (handle->flags & needed)
			value->TypeSpecificInformation.Section.MaximumSize.QuadPart =
				(LONGLONG)handle->size;
		break;
	default:
		break;
	}
	return handle->flags & needed;
}

static DWORD granted_access(uint32_t open_flags)
{
	if (open_flags & O_PATH)
		return ATTRIBUTES_ONLY;
	switch (open_flags & O_ACCMODE) {
	case O_RDONLY:
		return GENERIC_TO_READ;
	case O_WRONLY:
		return GENERIC_TO_WRITE;
	case O_RDWR:
		return GENERIC_TO_READ | GENERIC_TO_WRITE;
	default:
		return ATTRIBUTES_ONLY;
	}
}

static void fill_basic(const struct pss_handle_record *handle, PSS_HANDLE_ENTRY *value)
{
	value->Attributes = handle->flags & PSS_HANDLE_CLOSE_ON_EXEC ? 0 : INHERIT;
	value->GrantedAccess = granted_access(handle->open_flags);
	// This one at least: the kernel tells nobody how many more lead to the same object.
	value->HandleCount = 1;
	value->PointerCount = 1;
}

void pss_walk_handles_fill(const struct pss_section *section, uint32_t index,
			   struct pss_walk_entry *entry)
{
	const struct pss_handle_record *handle = pss_section_handle(section, index);
	uint32_t asked = pss_section_header(section)->capture_flags;
	uint32_t kind = handle->kind < PSS_HANDLE_KIND_COUNT ? handle->kind : PSS_HANDLE_KIND_OTHER;
	PSS_HANDLE_ENTRY *value = &entry->value.handle;
	unsigned flags = PSS_HANDLE_NONE;

	value->Handle = (HANDLE)(intptr_t)handle->fd;
	value->CaptureTime = pss_winvalue_filetime(handle->capture_time);
	if (kind != PSS_HANDLE_KIND_UNKNOWN) {
		flags |= PSS_HANDLE_HAVE_TYPE;
		value->ObjectType = types[kind].type;
		value->TypeName = types[kind].name;
		value->TypeNameLength = types[kind].name_size;
	}
	if (asked & PSS_CAPTURE_HANDLE_NAME_INFORMATION && handle->flags & PSS_HANDLE_HAS_NAME &&
	    handle->name.size > 0) {
		flags |= PSS_HANDLE_HAVE_NAME;
		entry->text = handle->name;
	}
	if (asked & PSS_CAPTURE_HANDLE_BASIC_INFORMATION && handle->flags & PSS_HANDLE_HAS_INFO) {
		flags |= PSS_HANDLE_HAVE_BASIC_INFORMATION;
		fill_basic(handle, value);
	}
	if (asked & PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION && fill_union(handle, value))
		flags |= PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION;
	value->Flags = (PSS_HANDLE_FLAGS)flags;
}
