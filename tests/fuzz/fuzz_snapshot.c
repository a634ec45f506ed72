// SPDX-License-Identifier: LGPL-2.1-or-later
// Everything that the public functions make of a section that somebody else wrote: all queries, all
// walks, the native views, the clone's handle, a core, a minidump. An error code or an entry, and
// every pointer handed out can be read for as long as is said beside it. No process is involved:
// the clone that the section names is replaced by one that cannot be.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <procsnap.h>

#include "../unit/minidump_reader.h"
#include "elfcore.h"
#include "memory.h"
#include "minidump.h"
#include "section.h"
#include "sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	NO_SUCH_PID = 1 << 23, // above every pid_max
	PAGES = 4096,          // of the address space that cores are made of
	BYTES_AHEAD = 8,       // of a buffer, to see that nothing is written past its end
	CORE_STEPS_MAX = 2,    // a tenth of a second apart, but for the first
};

static void check(bool is_true, int line)
{
	if (is_true)
		return;
	(void)fprintf(stderr, "%s:%d does not hold\n", __FILE__, line);
	__builtin_trap();
}

#define must(condition) check(condition, __LINE__)

static void touch(const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	volatile uint8_t sum = 0;

	must(from || size == 0);
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + from[i]);
}

// A text is terminated, though the API does not promise it, and its size is in bytes.
static void touch_text(const WCHAR *text, size_t size)
{
	must(size % sizeof *text == 0);
	touch(text, size);
	must(!text || text[size / sizeof *text] == 0);
}

static const DWORD query_lengths[] = {
	[PSS_QUERY_PROCESS_INFORMATION] = sizeof(PSS_PROCESS_INFORMATION),
	[PSS_QUERY_VA_CLONE_INFORMATION] = sizeof(PSS_VA_CLONE_INFORMATION),
	[PSS_QUERY_AUXILIARY_PAGES_INFORMATION] = sizeof(PSS_AUXILIARY_PAGES_INFORMATION),
	[PSS_QUERY_VA_SPACE_INFORMATION] = sizeof(PSS_VA_SPACE_INFORMATION),
	[PSS_QUERY_HANDLE_INFORMATION] = sizeof(PSS_HANDLE_INFORMATION),
	[PSS_QUERY_THREAD_INFORMATION] = sizeof(PSS_THREAD_INFORMATION),
	[PSS_QUERY_HANDLE_TRACE_INFORMATION] = sizeof(PSS_HANDLE_TRACE_INFORMATION),
	[PSS_QUERY_PERFORMANCE_COUNTERS] = sizeof(PSS_PERFORMANCE_COUNTERS),
};
enum { QUERIES = sizeof query_lengths / sizeof query_lengths[0] };

static const DWORD walk_lengths[] = {
	[PSS_WALK_AUXILIARY_PAGES] = sizeof(PSS_AUXILIARY_PAGE_ENTRY),
	[PSS_WALK_VA_SPACE] = sizeof(PSS_VA_SPACE_ENTRY),
	[PSS_WALK_HANDLES] = sizeof(PSS_HANDLE_ENTRY),
	[PSS_WALK_THREADS] = sizeof(PSS_THREAD_ENTRY),
	[PSS_WALK_THREAD_NAME] = sizeof(PSS_THREAD_NAME),
};
enum { WALKS = sizeof walk_lengths / sizeof walk_lengths[0] };

// The number that the query of a walk's class says, or -1 where it is not there.
static int64_t count_of(HPSS snapshot, unsigned walk)
{
	static const PSS_QUERY_INFORMATION_CLASS classes[WALKS] = {
		[PSS_WALK_AUXILIARY_PAGES] = PSS_QUERY_AUXILIARY_PAGES_INFORMATION,
		[PSS_WALK_VA_SPACE] = PSS_QUERY_VA_SPACE_INFORMATION,
		[PSS_WALK_HANDLES] = PSS_QUERY_HANDLE_INFORMATION,
		[PSS_WALK_THREADS] = PSS_QUERY_THREAD_INFORMATION,
		[PSS_WALK_THREAD_NAME] = PSS_QUERY_THREAD_INFORMATION,
	};
	DWORD values[2] = { 0 };
	DWORD code =
		PssQuerySnapshot(snapshot, classes[walk], values, query_lengths[classes[walk]]);

	must(code == ERROR_SUCCESS || code == ERROR_NOT_FOUND);
	return code == ERROR_SUCCESS ? (int64_t)values[0] : -1;
}

static void check_queries(HPSS snapshot)
{
	for (unsigned class = 0; class <= QUERIES; class ++) {
		DWORD length = class < QUERIES ? query_lengths[class] : 4;
		uint8_t *buffer = malloc(length + BYTES_AHEAD);

		must(buffer != NULL);
		memset(buffer, 0xa5, length + BYTES_AHEAD);
		DWORD code = PssQuerySnapshot(snapshot, (PSS_QUERY_INFORMATION_CLASS) class, buffer,
					      length);
		must(class == QUERIES ? code == ERROR_INVALID_PARAMETER
				      : code == ERROR_SUCCESS || code == ERROR_NOT_FOUND);
		must(class != PSS_QUERY_PROCESS_INFORMATION || code == ERROR_SUCCESS);
		touch(buffer, length);
		for (size_t i = code == ERROR_SUCCESS ? length : 0; i < length + BYTES_AHEAD; i++)
			must(buffer[i] == 0xa5);
		if (class == PSS_QUERY_PROCESS_INFORMATION)
			must(((PSS_PROCESS_INFORMATION *)buffer)->ImageFileName[MAX_PATH - 1] == 0);
		free(buffer);
	}
}

union entry {
	PSS_AUXILIARY_PAGE_ENTRY page;
	PSS_VA_SPACE_ENTRY region;
	PSS_HANDLE_ENTRY handle;
	PSS_THREAD_ENTRY thread;
	PSS_THREAD_NAME name;
};

static void check_entry(unsigned class, const union entry *entry)
{
	switch (class) {
	case PSS_WALK_AUXILIARY_PAGES:
		touch(entry->page.PageContents,
		      entry->page.PageContents ? entry->page.PageSize : 0);
		break;
	case PSS_WALK_VA_SPACE:
		touch_text(entry->region.MappedFileName, entry->region.MappedFileNameLength);
		break;
	case PSS_WALK_HANDLES:
		touch_text(entry->handle.TypeName, entry->handle.TypeNameLength);
		touch_text(entry->handle.ObjectName, entry->handle.ObjectNameLength);
		must((unsigned)entry->handle.ObjectType <= PSS_OBJECT_TYPE_SEMAPHORE);
		break;
	case PSS_WALK_THREADS:
		touch(entry->thread.ContextRecord, entry->thread.SizeOfContextRecord);
		must(!entry->thread.ContextRecord == !entry->thread.SizeOfContextRecord);
		break;
	default:
		touch_text(entry->name.ThreadName, entry->name.ThreadNameSize);
		break;
	}
}

// One marker for all: what it gave out must live until it is freed.
static void check_walks(HPSS snapshot, size_t size)
{
	union entry *entries = NULL;
	unsigned classes[WALKS];
	HPSSWALK marker = NULL;
	size_t used = 0;
	DWORD code;

	must(PssWalkMarkerCreate(NULL, &marker) == ERROR_SUCCESS);
	for (unsigned class = 0; class < WALKS; class ++) {
		int64_t expected = count_of(snapshot, class);
		size_t first = used;
		ULONG_PTR position;
		union entry *entry;

		for (;; used++) {
			must(used < size); // each stands for a record of its own
			entry = realloc(entries, (used + 1) * sizeof *entries);
			must(entry != NULL);
			entries = entry;
			entry += used;
			code = PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker,
					       entry, walk_lengths[class]);
			if (code != ERROR_SUCCESS)
				break;
		}
		must(code == (expected < 0 ? ERROR_NOT_FOUND : ERROR_NO_MORE_ITEMS));
		must(expected < 0 || used - first == (uint64_t)expected);
		classes[class] = (unsigned)(used - first);
		must(PssWalkMarkerGetPosition(marker, &position) == ERROR_SUCCESS);
		must(PssWalkMarkerSetPosition(marker, position) == ERROR_SUCCESS);
	}
	const union entry *at = entries;
	for (unsigned class = 0; class < WALKS; class ++)
		for (unsigned i = 0; i < classes[class]; i++)
			check_entry(class, at++);
	must(PssWalkMarkerFree(marker) == ERROR_SUCCESS);
	free(entries);
}

static bool is_found(DWORD code)
{
	must(code == ERROR_SUCCESS || code == ERROR_NOT_FOUND || code == ERROR_NO_MORE_ITEMS ||
	     code == ERROR_INVALID_HANDLE);
	return code == ERROR_SUCCESS;
}

static void check_registers(HPSS snapshot, DWORD index)
{
	static const DWORD types[] = { NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE, NT_SIGINFO };

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		SIZE_T length = 0;
		DWORD code = PssxQueryRegisters(snapshot, index, types[i], NULL, &length);

		if (code != ERROR_INSUFFICIENT_BUFFER) {
			must(!is_found(code));
			continue;
		}
		uint8_t *buffer = malloc(length ? length : 1);
		must(buffer != NULL);
		must(PssxQueryRegisters(snapshot, index, types[i], buffer, &length) ==
		     ERROR_SUCCESS);
		free(buffer);
	}
}

static void check_handles(HPSS snapshot)
{
	PSSX_HANDLE handle = { .Size = sizeof handle };

	for (DWORD i = 0; is_found(PssxQueryHandle(snapshot, i, &handle)); i++) {
		SIZE_T length = 0;
		DWORD code = PssxQueryHandleInfo(snapshot, i, NULL, &length);

		must(memchr(handle.Link, 0, sizeof handle.Link) != NULL);
		must(memchr(handle.Name, 0, sizeof handle.Name) != NULL);
		must((unsigned)handle.Kind <= PSSX_HANDLE_KIND_OTHER);
		if (code != ERROR_INSUFFICIENT_BUFFER) {
			must(!is_found(code) || length == 0);
			continue;
		}
		uint8_t *buffer = malloc(length ? length : 1);
		must(buffer != NULL);
		must(PssxQueryHandleInfo(snapshot, i, buffer, &length) == ERROR_SUCCESS);
		free(buffer);
	}
	(void)is_found(PssxQueryHandle(snapshot, UINT32_MAX, &handle));
}

static void check_native(HPSS snapshot)
{
	PSSX_FIGURES figures = { .Size = sizeof figures };
	PSSX_PROCESS process = { .Size = sizeof process };
	PSSX_THREAD thread = { .Size = sizeof thread };
	PSSX_REGION region = { .Size = sizeof region };

	(void)is_found(PssxQueryFigures(snapshot, &figures));
	must(PssxQueryProcess(snapshot, &process) == ERROR_SUCCESS);
	must(memchr(process.Comm, 0, sizeof process.Comm) != NULL);
	must(memchr(process.Executable, 0, sizeof process.Executable) != NULL);
	must(memchr(process.CommandLine, 0, sizeof process.CommandLine) != NULL);
	for (DWORD i = 0; is_found(PssxQueryThread(snapshot, i, &thread)); i++) {
		must(memchr(thread.Name, 0, sizeof thread.Name) != NULL);
		check_registers(snapshot, i);
	}
	for (DWORD i = 0; is_found(PssxQueryRegion(snapshot, i, &region)); i++) {
		must(memchr(region.Path, 0, sizeof region.Path) != NULL);
		must(region.BuildIdSize <= sizeof region.BuildId);
	}
	(void)is_found(PssxQueryRegion(snapshot, UINT32_MAX, &region));
	(void)is_found(PssxQueryThread(snapshot, UINT32_MAX, &thread));
}

// There is no such process: nothing can be read, killed or waited for.
static void check_clone(HPSS snapshot)
{
	PSS_VA_CLONE_INFORMATION information = { 0 };
	MEMORY_BASIC_INFORMATION memory;
	PSSX_CORE_RESULT result = { .Size = sizeof result };
	uint64_t word;
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	HANDLE handle = snapshot;

	must(out >= 0);
	if (is_found(PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &information,
				      sizeof information)))
		handle = information.VaCloneHandle;
	must(handle != NULL);
	must(!ReadProcessMemory(handle, (void *)0x1000, &word, sizeof word, NULL));
	must(!TerminateProcess(handle, 1));
	(void)GetProcessId(handle);
	(void)VirtualQueryEx(handle, (void *)0x1000, &memory, sizeof memory);
	must(PssxWriteElfCore(snapshot, out, NULL, &result) != ERROR_SUCCESS);
	close(out);
}

// An address space of which we know every byte: its page map and its memory are files.
static void open_memory(const struct pss_section *section, struct pss_memory *memory)
{
	static int mem_fd = -1, pagemap_fd = -1;
	static uint64_t page_map[PAGES];

	if (mem_fd < 0) {
		mem_fd = memfd_create("mem", MFD_CLOEXEC);
		pagemap_fd = memfd_create("pagemap", MFD_CLOEXEC);
		must(mem_fd >= 0 && pagemap_fd >= 0);
		for (size_t i = 0; i < PAGES; i++) // present, or of a file, or swapped, or none
			page_map[i] = i % 5 ? UINT64_C(1) << (61 + i % 3) : 0;
		must(pwrite(pagemap_fd, page_map, sizeof page_map, 0) == sizeof page_map);
		must(ftruncate(mem_fd, (off_t)PAGES * 4096) == 0);
	}
	*memory = PSS_MEMORY_EMPTY;
	memory->mem_fd = mem_fd;
	memory->pagemap_fd = pagemap_fd;
	memory->section = section;
}

static int count_steps(void *context, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	return ++*(int *)context > CORE_STEPS_MAX;
}

static void check_core(int fd, const uint8_t *data)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	const struct pss_sink_options plain = { 0 };
	struct pss_elfcore_result result;
	struct pss_memory memory;
	struct pss_diag diag = { 0 };
	int steps = 0;
	const struct pss_elfcore_options options = {
		.choice.filter = data[0] % 2 ? data[0] : UINT64_MAX,
		.choice.include_dont_dump = data[0] % 4 > 1,
		.hooks.progress = count_steps,
		.hooks.progress_context = &steps,
	};
	int out = memfd_create("core", MFD_CLOEXEC);

	must(out >= 0 && pss_section_open(fd, &section) == 0);
	open_memory(&section, &memory);
	must(pss_sink_open(out, &plain, &diag, &sink) == 0);
	int r = pss_elfcore_write(&section, &memory, &options, &sink, &diag, &result);
	must(r <= 0 && r > -4096);
	if (r == 0)
		must(result.file_size >= sizeof(Elf64_Ehdr));
	close(out);
}

// Types that choose memory in every way there is.
static const uint32_t minidump_types[] = {
	MiniDumpNormal,
	MiniDumpWithFullMemory | MiniDumpIgnoreInaccessibleMemory,
	MiniDumpWithIndirectlyReferencedMemory | MiniDumpWithModuleHeaders |
		MiniDumpWithProcessThreadData,
	MiniDumpWithDataSegs | MiniDumpWithCodeSegs | MiniDumpWithPrivateWriteCopyMemory |
		MiniDumpWithFullMemoryInfo,
	MiniDumpWithPrivateReadWriteMemory | MiniDumpWithHandleData | MiniDumpWithThreadInfo,
};

// Whatever the section says, a dump that is said to be written is one.
static void read_minidump(int fd, uint64_t size)
{
	struct minidump dump = { .size = size };

	dump.bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	if (dump.bytes == MAP_FAILED)
		return; // larger than our address space
	if (!minidump_check(&dump))
		(void)fprintf(stderr, "%s\n", dump.fault);
	must(dump.fault[0] == '\0');
	must(munmap((void *)(uintptr_t)dump.bytes, size) == 0);
}

static void check_minidump(int fd, const uint8_t *data)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	const struct pss_sink_options plain = { 0 };
	struct pss_minidump_ask nobody = { .ignores_holes = true };
	struct pss_minidump_result result;
	struct pss_memory memory;
	struct pss_diag diag = { 0 };
	int steps = 0;
	const struct pss_minidump_options options = {
		.type = minidump_types[data[0] %
				       (sizeof minidump_types / sizeof minidump_types[0])],
		.has_environment = data[0] % 2,
		.include_dont_dump = data[0] % 4 > 1,
		.ask = &nobody,
		.hooks.progress = count_steps,
		.hooks.progress_context = &steps,
	};
	int out = memfd_create("minidump", MFD_CLOEXEC);

	must(out >= 0 && pss_section_open(fd, &section) == 0);
	open_memory(&section, &memory);
	must(pss_sink_open(out, &plain, &diag, &sink) == 0);
	int r = pss_minidump_write(&section, &memory, &options, &sink, &diag, &result);
	must(r <= 0 && r > -4096);
	if (r == 0)
		read_minidump(out, result.file_size);
	close(out);
}

// The bytes with what a mutation always breaks put right, and a clone that cannot be.
static int seal(const uint8_t *data, size_t size)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct pss_section_header header;
	struct pss_clone_record clone = { .pid = NO_SUCH_PID, .start_ticks = 1, .section_fd = 3 };
	int fd = memfd_create("section", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd > 2 && size >= sizeof header);
	memcpy(&header, data, sizeof header);
	memcpy(header.magic, PSS_SECTION_MAGIC, sizeof header.magic);
	header.version = PSS_SECTION_VERSION;
	header.part_count = PSS_PART_COUNT;
	header.total_size = size;
	must(pwrite(fd, data, size, 0) == (ssize_t)size);
	uint64_t offset = header.parts[PSS_PART_CLONE].offset;
	if (header.parts[PSS_PART_CLONE].count > 0 && offset <= size &&
	    size - offset >= sizeof clone)
		must(pwrite(fd, &clone, sizeof clone, (off_t)offset) == sizeof clone);
	// Last: the clone's part may have been said to lie over it.
	must(pwrite(fd, &header, sizeof header, 0) == sizeof header);
	must(fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PSSX_PROCESS process = { .Size = sizeof process };

	if (size < sizeof(struct pss_section_header))
		return 0;
	int fd = seal(data, size);
	HPSS snapshot = (HPSS)(intptr_t)fd;

	if (PssxQueryProcess(snapshot, &process) != ERROR_SUCCESS) {
		must(PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_INVALID_HANDLE);
		close(fd);
		return 0;
	}
	check_queries(snapshot);
	check_walks(snapshot, size);
	check_native(snapshot);
	check_handles(snapshot);
	check_clone(snapshot);
	check_core(fd, data + size - 1);
	check_minidump(fd, data + size - 1);
	must(PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS);
	must(fcntl(fd, F_GETFD) < 0);
	return 0;
}
