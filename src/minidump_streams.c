// SPDX-License-Identifier: LGPL-2.1-or-later
// The streams of a minidump that Windows has, too, threads and modules apart: machine, process,
// address space, descriptors, memory, exception, a remark.
#include "minidump_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arch.h"
#include "base/checked.h"
#include "config.h"
#include "procfs.h"
#include "query.h"
#include "utf.h"
#include "walk.h"

enum {
	UTSNAME_ROOM = 320,
	COMMENT_ROOM = 256,
	NAME_ROOM = 64,
};

// 100 ns ticks, and how many of them lie between Windows' epoch and ours.
#define TICKS_PER_SECOND  UINT64_C(10000000)
#define TICKS_BEFORE_1970 UINT64_C(116444736000000000)

static void finish(struct pss_minidump *dump, RVA at)
{
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
}

static uint32_t seconds(uint64_t ticks)
{
	uint64_t value = ticks / TICKS_PER_SECOND;

	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

// "Linux 6.1.0-18-amd64 #1 SMP ... x86_64", as uname(1) words it.
static size_t describe_system(const struct utsname *names, char text[UTSNAME_ROOM])
{
	int size = snprintf(text, UTSNAME_ROOM, "%s %s %s %s", names->sysname, names->release,
			    names->version, names->machine);

	return size < UTSNAME_ROOM ? (size_t)size : UTSNAME_ROOM - 1;
}

// The value of a line "key : value" of /proc/cpuinfo; NULL: there is none, as on ARM.
static const char *cpu_value(const char *text, const char *key)
{
	size_t size = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *colon = line + size + strspn(line + strnlen(line, size), "\t ");
		if (strncmp(line, key, size) == 0 && *colon == ':')
			return colon + 1 + strspn(colon + 1, " ");
	}
	return NULL;
}

static unsigned cpu_number(const char *text, const char *key)
{
	const char *value = cpu_value(text, key);

	return value ? (unsigned)strtoul(value, NULL, 10) : 0;
}

static void describe_cpu(MINIDUMP_SYSTEM_INFO *info)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;

	if (pss_procfs_read(AT_FDCWD, "/proc/cpuinfo", &buf) < 0 || pss_buf_append(&buf, "", 1) < 0)
		return;
	const char *text = (const char *)buf.data, *vendor = cpu_value(text, "vendor_id");
	unsigned model = cpu_number(text, "model"), stepping = cpu_number(text, "stepping");
	info->ProcessorLevel = (USHORT)cpu_number(text, "cpu family");
	info->ProcessorRevision = (USHORT)(model << 8 | (stepping & 0xff));
	if (vendor && strcspn(vendor, "\n") == sizeof info->Cpu.X86CpuInfo.VendorId)
		memcpy(info->Cpu.X86CpuInfo.VendorId, vendor, sizeof info->Cpu.X86CpuInfo.VendorId);
}

int pss_minidump_put_system(struct pss_minidump *dump)
{
	struct utsname names = { 0 };
	char text[UTSNAME_ROOM], *next = names.release;
	long processors = sysconf(_SC_NPROCESSORS_CONF);

	(void)uname(&names);
	MINIDUMP_SYSTEM_INFO info = {
		.ProcessorArchitecture = (USHORT)pss_arch_native()->windows_machine,
		.NumberOfProcessors = (UCHAR)(processors < 1     ? 1
					      : processors > 255 ? 255
								 : processors),
		.PlatformId = PSS_MINIDUMP_PLATFORM_LINUX,
	};
	info.MajorVersion = (ULONG32)strtoul(next, &next, 10);
	info.MinorVersion = *next == '.' ? (ULONG32)strtoul(next + 1, &next, 10) : 0;
	info.BuildNumber = *next == '.' ? (ULONG32)strtoul(next + 1, &next, 10) : 0;
	describe_cpu(&info);
	RVA at = pss_minidump_layout_put(&dump->layout, &info, sizeof info);
	finish(dump, at);
	info.CSDVersionRva =
		pss_minidump_layout_put_text(&dump->layout, text, describe_system(&names, text));
	pss_minidump_layout_set(&dump->layout, at, &info, sizeof info);
	return 0;
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

int pss_minidump_put_misc(struct pss_minidump *dump)
{
	static const char writer[] = "procsnap " PROCSNAP_VERSION;
	PSS_PROCESS_INFORMATION process;
	MINIDUMP_MISC_INFO_4 info;
	struct utsname names = { 0 };
	char text[UTSNAME_ROOM];

	(void)uname(&names);
	pss_query_fill(dump->section, PSS_QUERY_PROCESS_INFORMATION, &process);
	memset(&info, 0, sizeof info);
	info.SizeOfInfo = sizeof info;
	info.Flags1 = MINIDUMP_MISC1_PROCESS_ID | MINIDUMP_MISC1_PROCESS_TIMES |
		      MINIDUMP_MISC3_PROTECTED_PROCESS | MINIDUMP_MISC4_BUILDSTRING;
	info.ProcessId = process.ProcessId;
	uint64_t created = ticks(process.CreateTime);
	info.ProcessCreateTime =
		created > TICKS_BEFORE_1970 ? seconds(created - TICKS_BEFORE_1970) : 0;
	info.ProcessUserTime = seconds(ticks(process.UserTime));
	info.ProcessKernelTime = seconds(ticks(process.KernelTime));
	info.ProtectedProcess = process.Flags & PSS_PROCESS_FLAGS_PROTECTED ? 1 : 0;
	// What the texts leave of their room goes out as well.
	WCHAR system[MAX_PATH] = { 0 }, ours[NAME_ROOM] = { 0 };
	(void)pss_utf_to_utf16(text, describe_system(&names, text), system, MAX_PATH);
	memcpy(info.BuildString, system, sizeof info.BuildString);
	(void)pss_utf_to_utf16(writer, sizeof writer - 1, ours,
			       sizeof info.DbgBldStr / sizeof(WCHAR));
	memcpy(info.DbgBldStr, ours, sizeof info.DbgBldStr);
	finish(dump, pss_minidump_layout_put(&dump->layout, &info, sizeof info));
	return 0;
}

int pss_minidump_put_vm_counters(struct pss_minidump *dump)
{
	PSS_PROCESS_INFORMATION process;

	pss_query_fill(dump->section, PSS_QUERY_PROCESS_INFORMATION, &process);
	const MINIDUMP_PROCESS_VM_COUNTERS_2 counters = {
		.Revision = 2,
		.Flags = MINIDUMP_PROCESS_VM_COUNTERS | MINIDUMP_PROCESS_VM_COUNTERS_VIRTUALSIZE |
			 MINIDUMP_PROCESS_VM_COUNTERS_EX,
		.PageFaultCount = process.PageFaultCount,
		.PeakWorkingSetSize = process.PeakWorkingSetSize,
		.WorkingSetSize = process.WorkingSetSize,
		.QuotaPeakNonPagedPoolUsage = process.QuotaPeakNonPagedPoolUsage,
		.QuotaNonPagedPoolUsage = process.QuotaNonPagedPoolUsage,
		.PagefileUsage = process.PagefileUsage,
		.PeakPagefileUsage = process.PeakPagefileUsage,
		.PeakVirtualSize = process.PeakVirtualSize,
		.VirtualSize = process.VirtualSize,
		.PrivateUsage = process.PrivateUsage,
	};
	finish(dump, pss_minidump_layout_put(&dump->layout, &counters, sizeof counters));
	return 0;
}

int pss_minidump_put_memory_info(struct pss_minidump *dump)
{
	uint32_t count = pss_section_count(dump->section, PSS_PART_REGIONS);
	const MINIDUMP_MEMORY_INFO_LIST head = {
		.SizeOfHeader = sizeof head,
		.SizeOfEntry = sizeof(MINIDUMP_MEMORY_INFO),
		.NumberOfEntries = count,
	};
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	for (uint32_t i = 0; i < count; i++) {
		MINIDUMP_MEMORY_INFO info;

		pss_minidump_plan_describe(pss_section_region(dump->section, i), &info);
		pss_minidump_ask_vm_query(dump->ask, &info);
		pss_minidump_layout_add(&dump->layout, &info, sizeof info);
	}
	finish(dump, at);
	return 0;
}

// Copies @size bytes that the exception's pointers lead to: in the caller, or in the target.
static int fetch(struct pss_minidump *dump, const void *from, void *to, size_t size)
{
	size_t done = 0;

	if (!dump->options->exception->ClientPointers) {
		memcpy(to, from, size);
		return 0;
	}
	int r = pss_minidump_read(dump, (uintptr_t)from, to, size, &done);
	return r < 0 ? pss_fail(dump->diag, r, "cannot read the exception of the process") : 0;
}

static int fetch_exception(struct pss_minidump *dump, EXCEPTION_RECORD *record, CONTEXT *context)
{
	const MINIDUMP_EXCEPTION_INFORMATION *exception = dump->options->exception;
	EXCEPTION_POINTERS pointers = { 0 };
	int r = fetch(dump, exception->ExceptionPointers, &pointers, sizeof pointers);

	if (r == 0 && (!pointers.ExceptionRecord || !pointers.ContextRecord))
		return pss_fail(dump->diag, -EINVAL, "the exception has no record or no context");
	if (r == 0)
		r = fetch(dump, pointers.ExceptionRecord, record, sizeof *record);
	return r == 0 ? fetch(dump, pointers.ContextRecord, context, sizeof *context) : r;
}

int pss_minidump_put_exception(struct pss_minidump *dump)
{
	const MINIDUMP_EXCEPTION_INFORMATION *exception = dump->options->exception;
	EXCEPTION_RECORD record = { 0 };
	CONTEXT context = { 0 };

	if (!exception || !exception->ExceptionPointers)
		return -ENOENT;
	int r = fetch_exception(dump, &record, &context);
	if (r < 0)
		return r;
	MINIDUMP_EXCEPTION_STREAM stream = {
		.ThreadId = exception->ThreadId,
		.ExceptionRecord = {
			.ExceptionCode = record.ExceptionCode,
			.ExceptionFlags = record.ExceptionFlags,
			.ExceptionRecord = (uintptr_t)record.ExceptionRecord,
			.ExceptionAddress = (uintptr_t)record.ExceptionAddress,
			.NumberParameters = record.NumberParameters < EXCEPTION_MAXIMUM_PARAMETERS
						    ? record.NumberParameters
						    : EXCEPTION_MAXIMUM_PARAMETERS,
		},
	};
	for (ULONG32 i = 0; i < stream.ExceptionRecord.NumberParameters; i++)
		stream.ExceptionRecord.ExceptionInformation[i] = record.ExceptionInformation[i];
	RVA at = pss_minidump_layout_put(&dump->layout, &stream, sizeof stream);
	finish(dump, at);
	stream.ThreadContext.DataSize = sizeof context;
	stream.ThreadContext.Rva =
		pss_minidump_layout_put_aligned(&dump->layout, &context, sizeof context);
	pss_minidump_layout_set(&dump->layout, at, &stream, sizeof stream);
	return 0;
}

// For people: debuggers of Windows show it when they open the file.
int pss_minidump_put_comment(struct pss_minidump *dump)
{
	const struct pss_process_record *process = pss_section_process(dump->section);
	const struct pss_figures_record *figures = pss_section_figures(dump->section);
	char text[COMMENT_ROOM];
	int size =
		snprintf(text, sizeof text,
			 "snapshot of live process %d, which was held for %llu microseconds; "
			 "written by procsnap " PROCSNAP_VERSION,
			 process->pid, (unsigned long long)(figures ? figures->hold_ns / 1000 : 0));

	finish(dump, pss_minidump_layout_put(&dump->layout, text, (size_t)size + 1));
	return 0;
}

static RVA put_name(struct pss_minidump *dump, const WCHAR *name, size_t bytes)
{
	const MINIDUMP_STRING head = { .Length = (ULONG32)bytes };
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	pss_minidump_layout_add(&dump->layout, name, bytes);
	pss_minidump_layout_add(&dump->layout, NULL, sizeof(WCHAR));
	return at;
}

static int put_handle(struct pss_minidump *dump, uint32_t index, RVA at)
{
	struct pss_walk_entry entry;
	const void *name;

	pss_walk_fill(dump->section, PSS_WALK_HANDLES, index, &entry);
	const PSS_HANDLE_ENTRY *handle = &entry.value.handle;
	MINIDUMP_HANDLE_DESCRIPTOR_2 descriptor = {
		.Handle = (uintptr_t)handle->Handle,
		.Attributes = handle->Attributes,
		.GrantedAccess = handle->GrantedAccess,
		.HandleCount = handle->HandleCount,
		.PointerCount = handle->PointerCount,
	};
	if (handle->TypeName)
		descriptor.TypeNameRva = put_name(dump, handle->TypeName, handle->TypeNameLength);
	if (entry.text.size > 0) {
		if (pss_section_bytes(dump->section, entry.text, &name) < 0)
			return -EBADMSG;
		descriptor.ObjectNameRva =
			pss_minidump_layout_put_text(&dump->layout, name, entry.text.size);
	}
	pss_minidump_layout_set(&dump->layout, at, &descriptor, sizeof descriptor);
	return 0;
}

int pss_minidump_put_handles(struct pss_minidump *dump)
{
	uint32_t count = pss_section_count(dump->section, PSS_PART_HANDLES);
	const MINIDUMP_HANDLE_DATA_STREAM head = {
		.SizeOfHeader = sizeof head,
		.SizeOfDescriptor = sizeof(MINIDUMP_HANDLE_DESCRIPTOR_2),
		.NumberOfDescriptors = count,
	};
	int r = pss_walk_check(dump->section, PSS_WALK_HANDLES, sizeof(PSS_HANDLE_ENTRY));

	if (r < 0)
		return -ENOENT;
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);
	pss_minidump_layout_add(&dump->layout, NULL, count * sizeof(MINIDUMP_HANDLE_DESCRIPTOR_2));
	finish(dump, at);
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = put_handle(dump, i,
			       at + (RVA)(sizeof head + i * sizeof(MINIDUMP_HANDLE_DESCRIPTOR_2)));
	return r;
}

// As many as the list still takes.
static void put_descriptors(struct pss_minidump *dump, const struct pss_minidump_ranges *ranges,
			    ULONG32 *count)
{
	for (uint32_t i = 0; i < ranges->count; i++) {
		const struct pss_memory_segment *segment = pss_minidump_ranges_at(ranges, i);

		for (uint64_t start = segment->start;
		     start < segment->end && *count < PSS_MINIDUMP_RANGES_MOST;
		     start += PSS_MINIDUMP_PIECE_MOST, (*count)++) {
			uint64_t size = segment->end - start;
			const MINIDUMP_MEMORY_DESCRIPTOR descriptor = {
				.StartOfMemoryRange = start,
				.Memory.DataSize = (ULONG32)(size < PSS_MINIDUMP_PIECE_MOST
								     ? size
								     : PSS_MINIDUMP_PIECE_MOST),
				.Memory.Rva = (RVA)(segment->offset + (start - segment->start)),
			};
			RVA at = pss_minidump_layout_put(&dump->layout, &descriptor,
							 sizeof descriptor);
			pss_minidump_layout_relocate(
				&dump->layout,
				at + offsetof(MINIDUMP_MEMORY_DESCRIPTOR, Memory.Rva));
		}
	}
}

// Where that is not too much for it, all of the memory; else what every reader must reach. Of
// thousands of stacks the last ones are left out: a thread says itself where its own lies.
int pss_minidump_put_memory(struct pss_minidump *dump)
{
	MINIDUMP_MEMORY_LIST head = { 0 };
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	put_descriptors(dump, &dump->plan.near, &head.NumberOfMemoryRanges);
	if (!dump->plan.is_64)
		put_descriptors(dump, &dump->plan.far, &head.NumberOfMemoryRanges);
	pss_minidump_layout_set(&dump->layout, at, &head, sizeof head);
	finish(dump, at);
	return 0;
}

int pss_minidump_put_memory64(struct pss_minidump *dump)
{
	const struct pss_minidump_ranges *both[] = { &dump->plan.near, &dump->plan.far };
	const MINIDUMP_MEMORY64_LIST head = {
		.NumberOfMemoryRanges = (ULONG64)dump->plan.near.count + dump->plan.far.count,
	};

	if (!dump->plan.is_64)
		return -ENOENT;
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);
	for (size_t list = 0; list < 2; list++)
		for (uint32_t i = 0; i < both[list]->count; i++) {
			const struct pss_memory_segment *segment =
				pss_minidump_ranges_at(both[list], i);
			const MINIDUMP_MEMORY_DESCRIPTOR64 descriptor = {
				.StartOfMemoryRange = segment->start,
				.DataSize = segment->end - segment->start,
			};
			pss_minidump_layout_add(&dump->layout, &descriptor, sizeof descriptor);
		}
	dump->base_field = at + (RVA)offsetof(MINIDUMP_MEMORY64_LIST, BaseRva);
	finish(dump, at);
	return 0;
}
