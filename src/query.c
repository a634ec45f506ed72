// SPDX-License-Identifier: LGPL-2.1-or-later
// The information classes of query.h: what each is made of, when it is there, how it is filled.
#include "query.h"

#include <errno.h>
#include <string.h>

#include <processsnapshot.h>

#include "arch.h"
#include "utf.h"
#include "winvalue.h"

/** A count or size from Linux in a field of 32 bits; the largest value stands for "more". */
static DWORD saturate(uint64_t value)
{
	return value > UINT32_MAX ? UINT32_MAX : (DWORD)value;
}

static PSS_PROCESS_FLAGS process_flags(uint32_t flags)
{
	unsigned ret = PSS_PROCESS_FLAGS_NONE;

	if (flags & PSS_PROCESS_NOT_DUMPABLE)
		ret |= PSS_PROCESS_FLAGS_PROTECTED;
	if (flags & PSS_PROCESS_32BIT)
		ret |= PSS_PROCESS_FLAGS_WOW64;
	if (flags & PSS_PROCESS_FROZEN)
		ret |= PSS_PROCESS_FLAGS_FROZEN;
	return ret;
}

static void fill_process_sizes(const struct pss_process_record *process,
			       PSS_PROCESS_INFORMATION *info)
{
	uint64_t private_bytes = process->rss_anon + process->vm_swap;

	info->PeakVirtualSize = process->vm_peak;
	info->VirtualSize = process->vm_size;
	info->PageFaultCount = saturate(process->page_faults);
	info->PeakWorkingSetSize = process->vm_hwm;
	info->WorkingSetSize = process->vm_rss;
	info->QuotaPeakNonPagedPoolUsage = process->vm_pte;
	info->QuotaNonPagedPoolUsage = process->vm_pte;
	info->PagefileUsage = private_bytes;
	// The kernel keeps no peak of it; the peak was this at least.
	info->PeakPagefileUsage = private_bytes;
	info->PrivateUsage = private_bytes;
}

static void fill_process(const struct pss_section *section, void *buffer)
{
	const struct pss_process_record *process = pss_section_process(section);
	PSS_PROCESS_INFORMATION info;
	const void *exe;

	// Padding goes out as well: it must not carry our stack.
	memset(&info, 0, sizeof info);
	info.ExitStatus = process->flags & PSS_PROCESS_EXITED
				  ? pss_winvalue_exit_code(process->exit_status)
				  : STILL_ACTIVE;
	info.PebBaseAddress = (void *)(uintptr_t)process->debug_address;
	info.AffinityMask = process->affinity_mask;
	info.BasePriority = pss_winvalue_base_priority(process->policy, process->nice);
	info.ProcessId = (DWORD)process->pid;
	info.ParentProcessId = (DWORD)process->parent_pid;
	info.Flags = process_flags(process->flags);
	info.CreateTime = pss_winvalue_filetime(process->create_time);
	info.ExitTime = pss_winvalue_filetime(process->exit_time);
	info.KernelTime = pss_winvalue_filetime(process->kernel_time);
	info.UserTime = pss_winvalue_filetime(process->user_time);
	info.PriorityClass = pss_winvalue_priority_class(process->policy, process->nice);
	fill_process_sizes(process, &info);
	if (pss_section_bytes(section, process->exe, &exe) == 0)
		(void)pss_utf_to_utf16(exe, process->exe.size, info.ImageFileName, MAX_PATH);
	memcpy(buffer, &info, sizeof info);
}

static void fill_va_clone(const struct pss_section *section, void *buffer)
{
	(void)section;
	*(PSS_VA_CLONE_INFORMATION *)buffer = (PSS_VA_CLONE_INFORMATION){ 0 };
}

static void fill_aux_pages(const struct pss_section *section, void *buffer)
{
	*(PSS_AUXILIARY_PAGES_INFORMATION *)buffer = (PSS_AUXILIARY_PAGES_INFORMATION){
		.AuxPagesCaptured = pss_section_count(section, PSS_PART_AUX_PAGES),
	};
}

static void fill_va_space(const struct pss_section *section, void *buffer)
{
	*(PSS_VA_SPACE_INFORMATION *)buffer = (PSS_VA_SPACE_INFORMATION){
		.RegionCount = pss_section_count(section, PSS_PART_REGIONS),
	};
}

static void fill_handles(const struct pss_section *section, void *buffer)
{
	*(PSS_HANDLE_INFORMATION *)buffer = (PSS_HANDLE_INFORMATION){
		.HandlesCaptured = pss_section_count(section, PSS_PART_HANDLES),
	};
}

static void fill_threads(const struct pss_section *section, void *buffer)
{
	const struct pss_section_header *header = pss_section_header(section);
	const struct pss_arch *arch = pss_arch_native();
	// A CONTEXT is the caller's own machine's: there is none for threads of another.
	bool has_context = header->capture_flags & PSS_CAPTURE_THREAD_CONTEXT &&
			   header->machine == arch->elf_machine;

	*(PSS_THREAD_INFORMATION *)buffer = (PSS_THREAD_INFORMATION){
		.ThreadsCaptured = pss_section_count(section, PSS_PART_THREADS),
		.ContextLength = has_context ? (DWORD)arch->context_size : 0,
	};
}

static UINT64 microseconds(uint64_t ns)
{
	return ns / (1000000000 / PSS_PERF_RESOLUTION);
}

static void fill_counters(const struct pss_section *section, void *buffer)
{
	const struct pss_figures_record *figures = pss_section_figures(section);

	*(PSS_PERFORMANCE_COUNTERS *)buffer = (PSS_PERFORMANCE_COUNTERS){
		.TotalCycleCount = figures->total.cycles,
		.TotalWallClockPeriod = microseconds(figures->total.wall_ns),
		.VaCloneCycleCount = figures->va_clone.cycles,
		.VaCloneWallClockPeriod = microseconds(figures->va_clone.wall_ns),
		.VaSpaceCycleCount = figures->va_space.cycles,
		.VaSpaceWallClockPeriod = microseconds(figures->va_space.wall_ns),
		.AuxPagesCycleCount = figures->aux_pages.cycles,
		.AuxPagesWallClockPeriod = microseconds(figures->aux_pages.wall_ns),
		.HandlesCycleCount = figures->handles.cycles,
		.HandlesWallClockPeriod = microseconds(figures->handles.wall_ns),
		.ThreadsCycleCount = figures->threads.cycles,
		.ThreadsWallClockPeriod = microseconds(figures->threads.wall_ns),
	};
}

/** One row a class. It is there if the flag was given and the part, if any, has an entry. */
static const struct query_class {
	size_t length;
	uint32_t flag; /**< of PSS_CAPTURE_FLAGS; 0: none needed */
	int part;      /**< that must have an entry; -1: none */
	void (*fill)(const struct pss_section *section, void *buffer);
} classes[] = {
	[PSS_QUERY_PROCESS_INFORMATION] = { sizeof(PSS_PROCESS_INFORMATION), 0, -1, fill_process },
	[PSS_QUERY_VA_CLONE_INFORMATION] = { sizeof(PSS_VA_CLONE_INFORMATION), PSS_CAPTURE_VA_CLONE,
					     PSS_PART_CLONE, fill_va_clone },
	[PSS_QUERY_AUXILIARY_PAGES_INFORMATION] = { sizeof(PSS_AUXILIARY_PAGES_INFORMATION), 0,
						    PSS_PART_AUX_PAGES, fill_aux_pages },
	[PSS_QUERY_VA_SPACE_INFORMATION] = { sizeof(PSS_VA_SPACE_INFORMATION), PSS_CAPTURE_VA_SPACE,
					     -1, fill_va_space },
	[PSS_QUERY_HANDLE_INFORMATION] = { sizeof(PSS_HANDLE_INFORMATION), PSS_CAPTURE_HANDLES, -1,
					   fill_handles },
	[PSS_QUERY_THREAD_INFORMATION] = { sizeof(PSS_THREAD_INFORMATION), PSS_CAPTURE_THREADS, -1,
					   fill_threads },
	// Linux keeps no trace of handles: never there, as on Windows when tracing is off.
	[PSS_QUERY_HANDLE_TRACE_INFORMATION] = { sizeof(PSS_HANDLE_TRACE_INFORMATION), 0,
						 PSS_PART_COUNT, NULL },
	[PSS_QUERY_PERFORMANCE_COUNTERS] = { sizeof(PSS_PERFORMANCE_COUNTERS),
					     PSS_CREATE_MEASURE_PERFORMANCE, PSS_PART_FIGURES,
					     fill_counters },
};

static bool is_present(const struct pss_section *section, const struct query_class *class)
{
	if (class->flag && !(pss_section_header(section)->capture_flags & class->flag))
		return false;
	if (class->part == PSS_PART_COUNT)
		return false;
	return class->part < 0 || pss_section_count(section, (enum pss_part) class->part) > 0;
}

int pss_query_check(const struct pss_section *section, unsigned class, size_t length)
{
	if (class >= sizeof classes / sizeof classes[0])
		return -EINVAL;
	if (length != classes[class].length)
		return -EMSGSIZE;
	if (!is_present(section, &classes[class]))
		return -ENOENT;
	return 0;
}

void pss_query_fill(const struct pss_section *section, unsigned class, void *buffer)
{
	classes[class].fill(section, buffer);
}
