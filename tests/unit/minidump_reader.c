// SPDX-License-Identifier: LGPL-2.1-or-later
// See minidump_reader.h.
#include "minidump_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool fault(struct minidump *dump, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool fault(struct minidump *dump, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!dump->fault[0])
		vsnprintf(dump->fault, sizeof(dump->fault), format, args);
	va_end(args);
	return false;
}

static bool is_inside(const struct minidump *dump, uint64_t at, uint64_t size)
{
	return at <= dump->size && size <= dump->size - at;
}

static const MINIDUMP_DIRECTORY *directory(const struct minidump *dump)
{
	const MINIDUMP_HEADER *header = (const void *)dump->bytes;

	return (const void *)(dump->bytes + header->StreamDirectoryRva);
}

static uint32_t stream_count(const struct minidump *dump)
{
	return ((const MINIDUMP_HEADER *)dump->bytes)->NumberOfStreams;
}

const void *minidump_stream(const struct minidump *dump, uint32_t type, uint32_t *size_ret)
{
	for (uint32_t i = 0; i < stream_count(dump); i++)
		if (directory(dump)[i].StreamType == type) {
			if (size_ret)
				*size_ret = directory(dump)[i].Location.DataSize;
			return dump->bytes + directory(dump)[i].Location.Rva;
		}
	return NULL;
}

static bool check_directory(struct minidump *dump)
{
	const MINIDUMP_HEADER *header = (const void *)dump->bytes;

	if (dump->size < sizeof(*header) || header->Signature != MINIDUMP_SIGNATURE ||
	    (header->Version & 0xffff) != MINIDUMP_VERSION)
		return fault(dump, "the header is none");
	if (!is_inside(dump, header->StreamDirectoryRva,
		       (uint64_t)header->NumberOfStreams * sizeof(MINIDUMP_DIRECTORY)))
		return fault(dump, "the directory leads outside");
	uint64_t head_end = (uint64_t)header->StreamDirectoryRva +
			    header->NumberOfStreams * sizeof(MINIDUMP_DIRECTORY);
	for (uint32_t i = 0; i < header->NumberOfStreams; i++) {
		const MINIDUMP_DIRECTORY *entry = &directory(dump)[i];

		if (!is_inside(dump, entry->Location.Rva, entry->Location.DataSize) ||
		    entry->Location.Rva < head_end)
			return fault(dump, "stream %#x leads outside", entry->StreamType);
		for (uint32_t j = 0; j < i; j++)
			if (directory(dump)[j].StreamType == entry->StreamType &&
			    entry->StreamType <= LastReservedStream)
				return fault(dump, "stream %#x is there twice", entry->StreamType);
	}
	return true;
}

// A text has an even size, lies inside with its terminator, and that is one.
static bool check_text(struct minidump *dump, uint64_t rva, const char *what)
{
	uint32_t length;
	uint16_t end;

	if (!is_inside(dump, rva, sizeof(length)))
		return fault(dump, "%s leads outside", what);
	memcpy(&length, dump->bytes + rva, sizeof(length));
	if (length % 2 || !is_inside(dump, rva + sizeof(length), (uint64_t)length + 2))
		return fault(dump, "%s does not fit", what);
	memcpy(&end, dump->bytes + rva + sizeof(length) + length, sizeof(end));
	return end == 0 || fault(dump, "%s has no end", what);
}

void minidump_text(const struct minidump *dump, uint64_t rva, char *text, size_t room)
{
	const MINIDUMP_STRING *string = (const void *)(dump->bytes + rva);
	size_t size = 0;

	for (uint32_t i = 0; i < string->Length / 2 && size + 1 < room; i++)
		text[size++] = (char)(string->Buffer[i] < 128 ? string->Buffer[i] : '?');
	text[size] = '\0';
}

// A list whose head is a count of 32 bits. NULL and no fault: there is none.
static const void *list(struct minidump *dump, uint32_t type, size_t entry_size, uint32_t *count)
{
	uint32_t size = 0;
	const uint8_t *stream = minidump_stream(dump, type, &size);

	*count = 0;
	if (!stream)
		return NULL;
	memcpy(count, stream, size >= 4 ? 4 : 0);
	if (size != 4 + (uint64_t)*count * entry_size) {
		fault(dump, "list %u has %u bytes for %u entries", type, size, *count);
		return NULL;
	}
	return stream + 4;
}

uint32_t minidump_thread_count(const struct minidump *dump)
{
	const MINIDUMP_THREAD_LIST *threads = minidump_stream(dump, ThreadListStream, NULL);

	return threads ? threads->NumberOfThreads : 0;
}

const MINIDUMP_THREAD *minidump_thread(const struct minidump *dump, uint32_t index)
{
	const MINIDUMP_THREAD_LIST *threads = minidump_stream(dump, ThreadListStream, NULL);

	return &threads->Threads[index];
}

uint32_t minidump_module_count(const struct minidump *dump)
{
	const MINIDUMP_MODULE_LIST *modules = minidump_stream(dump, ModuleListStream, NULL);

	return modules ? modules->NumberOfModules : 0;
}

const MINIDUMP_MODULE *minidump_module(const struct minidump *dump, uint32_t index)
{
	const MINIDUMP_MODULE_LIST *modules = minidump_stream(dump, ModuleListStream, NULL);

	return &modules->Modules[index];
}

static const void *near_memory(const struct minidump *dump, uint64_t address, uint64_t size)
{
	const MINIDUMP_MEMORY_LIST *ranges = minidump_stream(dump, MemoryListStream, NULL);

	for (uint32_t i = 0; ranges && i < ranges->NumberOfMemoryRanges; i++) {
		const MINIDUMP_MEMORY_DESCRIPTOR *range = &ranges->MemoryRanges[i];

		if (address >= range->StartOfMemoryRange &&
		    address + size <= range->StartOfMemoryRange + range->Memory.DataSize)
			return dump->bytes + range->Memory.Rva +
			       (address - range->StartOfMemoryRange);
	}
	return NULL;
}

// Readers take no longer list: what is not in this one is in the other.
static bool is_full(const struct minidump *dump)
{
	const MINIDUMP_MEMORY_LIST *ranges = minidump_stream(dump, MemoryListStream, NULL);

	return ranges && ranges->NumberOfMemoryRanges == 4096;
}

static const void *far_memory(const struct minidump *dump, uint64_t address, uint64_t size)
{
	const MINIDUMP_MEMORY64_LIST *ranges = minidump_stream(dump, Memory64ListStream, NULL);
	uint64_t at = ranges ? ranges->BaseRva : 0;

	for (uint64_t i = 0; ranges && i < ranges->NumberOfMemoryRanges; i++) {
		const MINIDUMP_MEMORY_DESCRIPTOR64 *range = &ranges->MemoryRanges[i];

		if (address >= range->StartOfMemoryRange &&
		    address + size <= range->StartOfMemoryRange + range->DataSize)
			return dump->bytes + at + (address - range->StartOfMemoryRange);
		at += range->DataSize;
	}
	return NULL;
}

const void *minidump_memory(const struct minidump *dump, uint64_t address, uint64_t size)
{
	const void *bytes = near_memory(dump, address, size);

	return bytes ? bytes : far_memory(dump, address, size);
}

static bool check_context(struct minidump *dump, MINIDUMP_LOCATION_DESCRIPTOR place)
{
	if (place.DataSize == 0)
		return true;
	if (place.DataSize != sizeof(CONTEXT) || !is_inside(dump, place.Rva, place.DataSize))
		return fault(dump, "a context of %u bytes at %#x", place.DataSize, place.Rva);
	return true;
}

static bool check_threads(struct minidump *dump)
{
	uint32_t count;
	const MINIDUMP_THREAD *threads =
		list(dump, ThreadListStream, sizeof(MINIDUMP_THREAD), &count);

	if (!threads)
		return fault(dump, "no threads");
	for (uint32_t i = 0; i < count; i++) {
		const MINIDUMP_MEMORY_DESCRIPTOR *stack = &threads[i].Stack;

		if (!check_context(dump, threads[i].ThreadContext))
			return false;
		if (stack->Memory.DataSize == 0)
			continue;
		const void *memory =
			near_memory(dump, stack->StartOfMemoryRange, stack->Memory.DataSize);
		if (!memory && is_full(dump))
			memory =
				far_memory(dump, stack->StartOfMemoryRange, stack->Memory.DataSize);
		if (memory != dump->bytes + stack->Memory.Rva)
			return fault(dump, "the stack of thread %u is not in the list of memory",
				     threads[i].ThreadId);
	}
	return true;
}

static bool check_names(struct minidump *dump)
{
	uint32_t count;
	const MINIDUMP_THREAD_NAME *names =
		list(dump, ThreadNamesStream, sizeof(MINIDUMP_THREAD_NAME), &count);

	for (uint32_t i = 0; i < count; i++)
		if (!check_text(dump, names[i].RvaOfThreadName, "the name of a thread"))
			return false;
	return true;
}

static bool check_modules(struct minidump *dump)
{
	uint32_t count;
	const MINIDUMP_MODULE *modules =
		list(dump, ModuleListStream, sizeof(MINIDUMP_MODULE), &count);

	if (!modules)
		return fault(dump, "no modules");
	for (uint32_t i = 0; i < count; i++) {
		const MINIDUMP_LOCATION_DESCRIPTOR *record = &modules[i].CvRecord;

		if (!check_text(dump, modules[i].ModuleNameRva, "the name of a module"))
			return false;
		if (modules[i].SizeOfImage == 0)
			return fault(dump, "module %u has no size", i);
		if (record->DataSize == 0)
			continue;
		if (!is_inside(dump, record->Rva, record->DataSize) || record->DataSize <= 4 ||
		    memcmp(dump->bytes + record->Rva, "LEpB", 4) != 0)
			return fault(dump, "module %u has a record that is none", i);
	}
	return true;
}

static bool check_memory(struct minidump *dump)
{
	uint32_t count;
	const MINIDUMP_MEMORY_DESCRIPTOR *ranges =
		list(dump, MemoryListStream, sizeof(MINIDUMP_MEMORY_DESCRIPTOR), &count);

	if (!ranges)
		return fault(dump, "no list of memory");
	for (uint32_t i = 0; i < count; i++)
		if (ranges[i].Memory.DataSize == 0 ||
		    !is_inside(dump, ranges[i].Memory.Rva, ranges[i].Memory.DataSize))
			return fault(dump, "memory range %u leads outside", i);
	return true;
}

static bool check_memory64(struct minidump *dump)
{
	uint32_t size = 0;
	const MINIDUMP_MEMORY64_LIST *ranges = minidump_stream(dump, Memory64ListStream, &size);

	if (!ranges)
		return true;
	if (size < sizeof(*ranges) || (size - sizeof(*ranges)) / sizeof(ranges->MemoryRanges[0]) !=
					      ranges->NumberOfMemoryRanges)
		return fault(dump, "the list of full memory has %u bytes", size);
	uint64_t at = ranges->BaseRva;
	for (uint64_t i = 0; i < ranges->NumberOfMemoryRanges; i++) {
		const MINIDUMP_MEMORY_DESCRIPTOR64 *range = &ranges->MemoryRanges[i];

		if (!is_inside(dump, at, range->DataSize))
			return fault(dump, "full memory leads outside");
		for (uint64_t j = 0; j < i && i < 1000; j++)
			if (range->StartOfMemoryRange < ranges->MemoryRanges[j].StartOfMemoryRange +
								ranges->MemoryRanges[j].DataSize &&
			    ranges->MemoryRanges[j].StartOfMemoryRange <
				    range->StartOfMemoryRange + range->DataSize)
				return fault(dump, "memory at %#llx is there twice",
					     (unsigned long long)range->StartOfMemoryRange);
		at += range->DataSize;
	}
	return at == dump->size || fault(dump, "full memory ends before the file");
}

static bool check_infos(struct minidump *dump)
{
	uint32_t size = 0;
	const MINIDUMP_MEMORY_INFO_LIST *regions =
		minidump_stream(dump, MemoryInfoListStream, &size);

	if (regions &&
	    (regions->SizeOfHeader != sizeof(*regions) ||
	     regions->SizeOfEntry != sizeof(MINIDUMP_MEMORY_INFO) ||
	     size != sizeof(*regions) + regions->NumberOfEntries * sizeof(MINIDUMP_MEMORY_INFO)))
		return fault(dump, "the list of regions has %u bytes", size);
	const MINIDUMP_THREAD_INFO_LIST *threads =
		minidump_stream(dump, ThreadInfoListStream, &size);
	if (threads &&
	    (threads->SizeOfHeader != sizeof(*threads) ||
	     threads->SizeOfEntry != sizeof(MINIDUMP_THREAD_INFO) ||
	     size != sizeof(*threads) + threads->NumberOfEntries * sizeof(MINIDUMP_THREAD_INFO)))
		return fault(dump, "the list of thread facts has %u bytes", size);
	const uint32_t *misc = minidump_stream(dump, MiscInfoStream, &size);
	if (!misc || misc[0] != size || size != sizeof(MINIDUMP_MISC_INFO_4))
		return fault(dump, "the facts of the process have %u bytes", size);
	const MINIDUMP_SYSTEM_INFO *system = minidump_stream(dump, SystemInfoStream, &size);
	if (!system || size != sizeof(*system))
		return fault(dump, "the facts of the system have %u bytes", size);
	return check_text(dump, system->CSDVersionRva, "the name of the system");
}

static bool check_handles(struct minidump *dump)
{
	uint32_t size = 0;
	const MINIDUMP_HANDLE_DATA_STREAM *handles = minidump_stream(dump, HandleDataStream, &size);

	if (!handles)
		return true;
	const MINIDUMP_HANDLE_DESCRIPTOR_2 *entries = (const void *)(handles + 1);
	if (handles->SizeOfHeader != sizeof(*handles) ||
	    handles->SizeOfDescriptor != sizeof(*entries) ||
	    size != sizeof(*handles) + handles->NumberOfDescriptors * sizeof(*entries))
		return fault(dump, "the list of handles has %u bytes", size);
	for (uint32_t i = 0; i < handles->NumberOfDescriptors; i++)
		if ((entries[i].TypeNameRva &&
		     !check_text(dump, entries[i].TypeNameRva, "the type of a handle")) ||
		    (entries[i].ObjectNameRva &&
		     !check_text(dump, entries[i].ObjectNameRva, "the name of a handle")))
			return false;
	return true;
}

static bool check_exception(struct minidump *dump)
{
	uint32_t size = 0;
	const MINIDUMP_EXCEPTION_STREAM *stream = minidump_stream(dump, ExceptionStream, &size);

	if (!stream)
		return true;
	if (size != sizeof(*stream))
		return fault(dump, "the exception has %u bytes", size);
	return check_context(dump, stream->ThreadContext);
}

bool minidump_check(struct minidump *dump)
{
	dump->fault[0] = '\0';
	return check_directory(dump) && check_infos(dump) && check_memory(dump) &&
	       check_memory64(dump) && check_threads(dump) && check_names(dump) &&
	       check_modules(dump) && check_handles(dump) && check_exception(dump);
}
