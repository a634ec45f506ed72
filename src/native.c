// SPDX-License-Identifier: LGPL-2.1-or-later
// The structures of native.h: mostly copying, with texts cut to their arrays.
#include "native.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/** Ticks of 100 ns from 1601 to 1970. */
#define UNIX_EPOCH 116444736000000000u

static uint64_t unix_ns(uint64_t ticks)
{
	return ticks > UNIX_EPOCH ? (ticks - UNIX_EPOCH) * 100 : 0;
}

/** How much of @size bytes of UTF-8 fits @room without cutting a character. */
static size_t fitting(const char *bytes, size_t size, size_t room)
{
	if (size <= room)
		return size;
	// A character's later bytes are 10xxxxxx; it has at most three.
	size_t cut = room;
	while (cut > 0 && room - cut < 3 && ((unsigned char)bytes[cut] & 0xC0) == 0x80)
		cut--;
	return cut;
}

/** Copies the text at @ref, terminated. A reference that leads nowhere gives an empty text. */
static size_t copy_text(const struct pss_section *section, struct pss_bytes_ref ref, char *target,
			size_t room)
{
	const void *bytes;
	size_t size = 0;

	if (pss_section_bytes(section, ref, &bytes) == 0)
		size = fitting(bytes, ref.size, room - 1);
	if (size > 0)
		memcpy(target, bytes, size);
	target[size] = '\0';
	return size;
}

int pss_native_figures(const struct pss_section *section, PSSX_FIGURES *ret)
{
	const struct pss_figures_record *figures = pss_section_figures(section);

	if (!figures)
		return -ENOENT;
	*ret = (PSSX_FIGURES){
		.Size = ret->Size,
		.ThreadsStopped = figures->threads_stopped,
		.ThreadsRunning = figures->threads_running,
		.PauseNs = figures->pause_ns,
		.HoldNs = figures->hold_ns,
		.CloneNs = figures->va_clone.wall_ns,
		.TotalNs = figures->total.wall_ns,
		.ForecastNs = figures->forecast_ns,
		.MaxPauseNs = figures->max_pause_ns,
	};
	return 0;
}

void pss_native_process(const struct pss_section *section, PSSX_PROCESS *ret)
{
	const struct pss_process_record *process = pss_section_process(section);
	const struct pss_clone_record *clone = pss_section_clone(section);

	*ret = (PSSX_PROCESS){
		.Size = ret->Size,
		.Pid = process->pid,
		.ParentPid = process->parent_pid,
		.ProcessGroup = process->process_group,
		.Session = process->session,
		.Uid = process->uid,
		.Gid = process->gid,
		.State = (char)process->state,
		.Nice = process->nice,
		.ThreadCount = process->thread_count,
		.CoredumpFilter = process->coredump_filter,
		.VirtualBytes = process->vm_size,
		.ResidentBytes = process->vm_rss,
		.AnonymousBytes = process->rss_anon,
		.SwappedBytes = process->vm_swap,
		.PageTableBytes = process->vm_pte,
		.CaptureTimeNs = unix_ns(process->capture_time),
		.StartTimeNs = unix_ns(process->create_time),
		.ClonePid = clone ? clone->pid : 0,
		.Machine = pss_section_header(section)->machine,
	};
	(void)copy_text(section, process->comm, ret->Comm, sizeof ret->Comm);
	(void)copy_text(section, process->exe, ret->Executable, sizeof ret->Executable);
	size_t size = copy_text(section, process->command_line, ret->CommandLine,
				sizeof ret->CommandLine);
	while (size > 0 && ret->CommandLine[size - 1] == '\0')
		size--;
	for (size_t i = 0; i < size; i++)
		if (ret->CommandLine[i] == '\0')
			ret->CommandLine[i] = ' ';
}

static uint32_t thread_flags(uint32_t flags)
{
	static const struct {
		uint32_t ours, theirs;
	} table[] = {
		{ PSS_THREAD_TERMINATED, PSSX_THREAD_TERMINATED },
		{ PSS_THREAD_HAS_REGISTERS, PSSX_THREAD_HAS_REGISTERS },
		{ PSS_THREAD_HAS_SYSCALL, PSSX_THREAD_HAS_SYSCALL },
		{ PSS_THREAD_UNSTOPPABLE, PSSX_THREAD_UNSTOPPABLE },
		{ PSS_THREAD_GROUP_STOPPED, PSSX_THREAD_GROUP_STOPPED },
		{ PSS_THREAD_CALLER, PSSX_THREAD_CALLER },
	};
	uint32_t ret = 0;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (flags & table[i].ours)
			ret |= table[i].theirs;
	return ret;
}

static int find_thread(const struct pss_section *section, uint32_t index,
		       const struct pss_thread_record **ret)
{
	if (!(pss_section_header(section)->capture_flags & PSS_CAPTURE_THREADS))
		return -ENOENT;
	*ret = pss_section_thread(section, index);
	return *ret ? 0 : -ENODATA;
}

int pss_native_thread(const struct pss_section *section, uint32_t index, PSSX_THREAD *ret)
{
	const struct pss_thread_record *thread;
	int r = find_thread(section, index, &thread);

	if (r < 0)
		return r;
	bool has_syscall = thread->flags & PSS_THREAD_HAS_SYSCALL;
	*ret = (PSSX_THREAD){
		.Size = ret->Size,
		.ThreadId = thread->tid,
		.Flags = thread_flags(thread->flags),
		.State = (char)thread->state,
		.Nice = thread->nice,
		.Policy = thread->policy,
		.RtPriority = thread->rt_priority,
		.UserTimeNs = thread->user_time * 100,
		.KernelTimeNs = thread->kernel_time * 100,
		.InstructionPointer = thread->instruction_pointer,
		.StackPointer = thread->stack_pointer,
		.ThreadPointer = thread->thread_pointer,
		.SyscallNumber = has_syscall ? thread->syscall_number : -1,
		.SignalMask = thread->signal_mask,
	};
	static_assert(sizeof ret->SyscallArguments == sizeof thread->syscall_arguments, "six");
	if (has_syscall)
		memcpy(ret->SyscallArguments, thread->syscall_arguments,
		       sizeof ret->SyscallArguments);
	(void)copy_text(section, thread->name, ret->Name, sizeof ret->Name);
	return 0;
}

int pss_native_registers(const struct pss_section *section, uint32_t index, uint32_t note_type,
			 const void **bytes_ret, size_t *size_ret)
{
	const struct pss_thread_record *thread;
	int r = find_thread(section, index, &thread);

	if (r < 0)
		return r;
	return pss_section_regset(section, thread, note_type, bytes_ret, size_ret);
}

static uint32_t region_flags(const struct pss_region_record *region)
{
	static const struct {
		uint32_t ours, theirs;
	} table[] = {
		{ PSS_REGION_SHARED, PSSX_REGION_SHARED },
		{ PSS_REGION_DONT_DUMP, PSSX_REGION_DONT_DUMP },
		{ PSS_REGION_WIPE_ON_FORK, PSSX_REGION_WIPE_ON_FORK },
		{ PSS_REGION_DEVICE, PSSX_REGION_DEVICE },
		{ PSS_REGION_HUGETLB, PSSX_REGION_HUGETLB },
		{ PSS_REGION_DONT_FORK, PSSX_REGION_DONT_FORK },
	};
	uint32_t ret = 0;

	static_assert((int)PSSX_REGION_READ == (int)PSS_REGION_READ &&
			      (int)PSSX_REGION_WRITE == (int)PSS_REGION_WRITE &&
			      (int)PSSX_REGION_EXECUTE == (int)PSS_REGION_EXECUTE,
		      "protection bits are the same");
	ret |= region->protection & (PSSX_REGION_READ | PSSX_REGION_WRITE | PSSX_REGION_EXECUTE);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (region->flags & table[i].ours)
			ret |= table[i].theirs;
	return ret;
}

static void copy_build_id(const struct pss_section *section, struct pss_bytes_ref ref,
			  PSSX_REGION *region)
{
	const void *bytes;

	// One that does not fit is none: half an ID identifies nothing.
	if (ref.size == 0 || ref.size > sizeof region->BuildId ||
	    pss_section_bytes(section, ref, &bytes) < 0)
		return;
	memcpy(region->BuildId, bytes, ref.size);
	region->BuildIdSize = (uint32_t)ref.size;
}

int pss_native_region(const struct pss_section *section, uint32_t index, PSSX_REGION *ret)
{
	static_assert((int)PSSX_CONTENT_EXCLUDED == (int)PSS_CONTENT_EXCLUDED &&
			      (int)PSS_CONTENT_COUNT == (int)PSSX_CONTENT_EXCLUDED + 1,
		      "contents are the same");
	const struct pss_region_record *region;

	if (!(pss_section_header(section)->capture_flags & PSS_CAPTURE_VA_SPACE))
		return -ENOENT;
	region = pss_section_region(section, index);
	if (!region)
		return -ENODATA;
	*ret = (PSSX_REGION){
		.Size = ret->Size,
		.Flags = region_flags(region),
		.Start = region->start,
		.End = region->end,
		.FileOffset = region->file_offset,
		.Inode = region->inode,
		.ResidentBytes = region->resident_bytes,
		.Content = region->content < PSS_CONTENT_COUNT ? (PSSX_CONTENT)region->content
							       : PSSX_CONTENT_NONE,
	};
	copy_build_id(section, region->build_id, ret);
	(void)copy_text(section, region->path, ret->Path, sizeof ret->Path);
	return 0;
}

static uint32_t handle_flags(const struct pss_handle_record *handle)
{
	static const struct {
		uint32_t ours, theirs;
	} table[] = {
		{ PSS_HANDLE_CLOSE_ON_EXEC, PSSX_HANDLE_CLOSE_ON_EXEC },
		{ PSS_HANDLE_DELETED, PSSX_HANDLE_DELETED },
		{ PSS_HANDLE_HAS_INFO, PSSX_HANDLE_HAS_INFO },
		{ PSS_HANDLE_HAS_INODE, PSSX_HANDLE_HAS_INODE },
		{ PSS_HANDLE_HAS_COUNT, PSSX_HANDLE_HAS_COUNT },
		{ PSS_HANDLE_HAS_TASK, PSSX_HANDLE_HAS_TASK },
	};
	uint32_t ret = 0;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (handle->flags & table[i].ours)
			ret |= table[i].theirs;
	return ret;
}

static int find_handle(const struct pss_section *section, uint32_t index,
		       const struct pss_handle_record **ret)
{
	if (!(pss_section_header(section)->capture_flags & PSS_CAPTURE_HANDLES))
		return -ENOENT;
	*ret = pss_section_handle(section, index);
	return *ret ? 0 : -ENODATA;
}

int pss_native_handle(const struct pss_section *section, uint32_t index, PSSX_HANDLE *ret)
{
	static_assert((int)PSSX_HANDLE_KIND_OTHER == (int)PSS_HANDLE_KIND_OTHER &&
			      (int)PSS_HANDLE_KIND_COUNT == (int)PSSX_HANDLE_KIND_OTHER + 1,
		      "kinds are the same");
	const struct pss_handle_record *handle;
	int r = find_handle(section, index, &handle);

	if (r < 0)
		return r;
	*ret = (PSSX_HANDLE){
		.Size = ret->Size,
		.Descriptor = handle->fd,
		.Kind = handle->kind < PSS_HANDLE_KIND_COUNT ? (PSSX_HANDLE_KIND)handle->kind
							     : PSSX_HANDLE_KIND_OTHER,
		.Flags = handle_flags(handle),
		.OpenFlags = handle->open_flags,
		.Mode = handle->mode,
		.DeviceMajor = handle->device_major,
		.DeviceMinor = handle->device_minor,
		.MountId = handle->mount_id,
		.Position = handle->position,
		.Inode = handle->inode,
		.SizeBytes = handle->size,
		.CaptureTimeNs = unix_ns(handle->capture_time),
	};
	if (handle->flags & PSS_HANDLE_HAS_COUNT)
		ret->Count = handle->count;
	if (handle->flags & PSS_HANDLE_HAS_TASK) {
		ret->Pid = handle->task.pid;
		ret->Tid = handle->task.tid;
	}
	(void)copy_text(section, handle->link, ret->Link, sizeof ret->Link);
	(void)copy_text(section, handle->name, ret->Name, sizeof ret->Name);
	return 0;
}

int pss_native_handle_info(const struct pss_section *section, uint32_t index,
			   const void **bytes_ret, size_t *size_ret)
{
	const struct pss_handle_record *handle;
	int r = find_handle(section, index, &handle);

	if (r < 0)
		return r;
	if (!(handle->flags & PSS_HANDLE_HAS_INFO))
		return -ENOENT;
	r = pss_section_bytes(section, handle->info, bytes_ret);
	if (r == 0)
		*size_ret = handle->info.size;
	return r;
}
