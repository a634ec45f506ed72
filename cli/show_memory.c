// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory regions of a snapshot, one by one and summed up by kind.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "show.h"
#include "text.h"

enum { LIST_ROOM = 64 };

enum memory_kind {
	KIND_IMAGE,
	KIND_FILE,
	KIND_HEAP,
	KIND_STACK,
	KIND_ANONYMOUS,
	KIND_SHARED,
	KIND_DEVICE,
	KIND_KERNEL,
	KIND_COUNT,
};

static const char *const kind_names[KIND_COUNT] = {
	[KIND_IMAGE] = "image",   [KIND_FILE] = "file",      [KIND_HEAP] = "heap",
	[KIND_STACK] = "stack",   [KIND_ANONYMOUS] = "anon", [KIND_SHARED] = "shared",
	[KIND_DEVICE] = "device", [KIND_KERNEL] = "kernel",
};

enum region_field {
	REGION_RANGE,
	REGION_START,
	REGION_END,
	REGION_SIZE,
	REGION_RESIDENT,
	REGION_PERMISSIONS,
	REGION_KIND,
	REGION_FLAGS,
	REGION_OFFSET,
	REGION_INODE,
	REGION_BUILD_ID,
	REGION_PATH,
	REGION_FIELD_COUNT,
};

static const struct pss_output_column region_columns[REGION_FIELD_COUNT] = {
	[REGION_RANGE] = { NULL, "ADDRESS", PSS_OUTPUT_TEXT, 0 },
	[REGION_START] = { "start", NULL, PSS_OUTPUT_ADDRESS, 0 },
	[REGION_END] = { "end", NULL, PSS_OUTPUT_ADDRESS, 0 },
	[REGION_SIZE] = { "size_bytes", "SIZE", PSS_OUTPUT_SIZE, PSS_OUTPUT_DROP },
	[REGION_RESIDENT] = { "resident_bytes", "RESIDENT", PSS_OUTPUT_SIZE, PSS_OUTPUT_DROP },
	[REGION_PERMISSIONS] = { "permissions", "PERM", PSS_OUTPUT_TEXT, PSS_OUTPUT_DROP },
	[REGION_KIND] = { "kind", "KIND", PSS_OUTPUT_TEXT, PSS_OUTPUT_DROP },
	[REGION_FLAGS] = { "flags", "FLAGS", PSS_OUTPUT_WORDS, PSS_OUTPUT_DROP },
	[REGION_OFFSET] = { "file_offset", NULL, PSS_OUTPUT_NUMBER, 0 },
	[REGION_INODE] = { "inode", NULL, PSS_OUTPUT_NUMBER, 0 },
	[REGION_BUILD_ID] = { "build_id", NULL, PSS_OUTPUT_TEXT, 0 },
	[REGION_PATH] = { "path", "PATH", PSS_OUTPUT_TEXT, PSS_OUTPUT_CUT_LEFT },
};

enum sum_field {
	SUM_KIND,
	SUM_REGIONS,
	SUM_SIZE,
	SUM_RESIDENT,
	SUM_FIELD_COUNT,
};

static const struct pss_output_column sum_columns[SUM_FIELD_COUNT] = {
	[SUM_KIND] = { "kind", "MEMORY", PSS_OUTPUT_TEXT, 0 },
	[SUM_REGIONS] = { "region_count", "REGIONS", PSS_OUTPUT_NUMBER, 0 },
	[SUM_SIZE] = { "size_bytes", "SIZE", PSS_OUTPUT_SIZE, 0 },
	[SUM_RESIDENT] = { "resident_bytes", "RESIDENT", PSS_OUTPUT_SIZE, 0 },
};

// Regions of one kind, summed up.
struct sum {
	uint64_t regions;
	uint64_t size;
	uint64_t resident;
	bool is_resident_known;
};

static bool begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

static enum memory_kind region_kind(const PSSX_REGION *region)
{
	const char *path = region->Path;

	if (region->Flags & PSSX_REGION_DEVICE)
		return KIND_DEVICE;
	if (strcmp(path, "[heap]") == 0)
		return KIND_HEAP;
	if (begins_with(path, "[stack"))
		return KIND_STACK;
	if (region->Flags & PSSX_REGION_SHARED)
		return *path == '\0' || begins_with(path, "[anon_shmem:") ||
				       begins_with(path, "/dev/zero") ||
				       begins_with(path, "/dev/shm/") ||
				       begins_with(path, "/memfd:") || begins_with(path, "/SYSV")
			       ? KIND_SHARED
			       : KIND_FILE;
	if (*path == '\0' || begins_with(path, "[anon:"))
		return KIND_ANONYMOUS;
	if (*path == '[')
		return KIND_KERNEL;
	return region->BuildIdSize > 0 || region->Flags & PSSX_REGION_EXECUTE ? KIND_IMAGE
									      : KIND_FILE;
}

static void list_flags(uint32_t flags, char list[LIST_ROOM])
{
	static const struct {
		uint32_t flag;
		const char *word;
	} words[] = {
		{ PSSX_REGION_DONT_DUMP, "dontdump" },
		{ PSSX_REGION_WIPE_ON_FORK, "wipeonfork" },
		{ PSSX_REGION_HUGETLB, "hugetlb" },
	};
	size_t length = 0;

	list[0] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (flags & words[i].flag)
			length += (size_t)snprintf(list + length, LIST_ROOM - length, "%s%s",
						   length ? " " : "", words[i].word);
}

static void format_build_id(const PSSX_REGION *region, char text[2 * sizeof(region->BuildId) + 1])
{
	text[0] = '\0';
	for (size_t i = 0; i < region->BuildIdSize && i < sizeof(region->BuildId); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", region->BuildId[i]);
}

static struct pss_output_value resident_value(uint64_t bytes)
{
	return bytes == PSSX_RESIDENT_UNKNOWN ? (struct pss_output_value){ .is_known = false }
					      : pss_output_number(bytes);
}

static void add_region(const PSSX_REGION *region, struct pss_output_table *table)
{
	const char permissions[] = {
		region->Flags & PSSX_REGION_READ ? 'r' : '-',
		region->Flags & PSSX_REGION_WRITE ? 'w' : '-',
		region->Flags & PSSX_REGION_EXECUTE ? 'x' : '-',
		region->Flags & PSSX_REGION_SHARED ? 's' : 'p',
		'\0',
	};
	char flags[LIST_ROOM], build_id[2 * sizeof(region->BuildId) + 1];
	_cleanup_text_ char *range =
		pss_text_format("%" PRIx64 "-%" PRIx64, region->Start, region->End);
	struct pss_output_value values[REGION_FIELD_COUNT] = {
		[REGION_RANGE] = pss_output_text(range),
		[REGION_START] = pss_output_number(region->Start),
		[REGION_END] = pss_output_number(region->End),
		[REGION_SIZE] = pss_output_number(region->End - region->Start),
		[REGION_RESIDENT] = resident_value(region->ResidentBytes),
		[REGION_PERMISSIONS] = pss_output_text(permissions),
		[REGION_KIND] = pss_output_text(kind_names[region_kind(region)]),
		[REGION_FLAGS] = pss_output_text(flags),
		[REGION_OFFSET] = pss_output_number(region->FileOffset),
		[REGION_INODE] = pss_output_number(region->Inode),
		[REGION_PATH] = pss_output_text(region->Path),
	};

	list_flags(region->Flags, flags);
	format_build_id(region, build_id);
	if (region->BuildIdSize > 0)
		values[REGION_BUILD_ID] = pss_output_text(build_id);
	pss_output_table_add(table, values);
}

int pss_show_regions(HPSS snapshot, struct pss_output *output)
{
	PSSX_REGION region = { .Size = sizeof(region) };
	struct pss_output_table table;
	DWORD error = ERROR_SUCCESS;

	pss_output_table_begin(output, "regions", region_columns, REGION_FIELD_COUNT, &table);
	for (DWORD i = 0; (error = PssxQueryRegion(snapshot, i, &region)) == ERROR_SUCCESS; i++)
		add_region(&region, &table);
	pss_output_table_end(&table);
	return error == ERROR_NO_MORE_ITEMS ? PSS_STATUS_DONE : pss_message_library(NULL);
}

static void add_to_sum(struct sum *sum, const PSSX_REGION *region)
{
	sum->regions++;
	sum->size += region->End - region->Start;
	if (region->ResidentBytes != PSSX_RESIDENT_UNKNOWN) {
		sum->resident += region->ResidentBytes;
		sum->is_resident_known = true;
	}
}

static void print_sums(const struct sum sums[KIND_COUNT], struct pss_output *output)
{
	struct pss_output_table table;

	pss_output_table_begin(output, "memory", sum_columns, SUM_FIELD_COUNT, &table);
	for (size_t i = 0; i < KIND_COUNT; i++) {
		const struct pss_output_value values[SUM_FIELD_COUNT] = {
			[SUM_KIND] = pss_output_text(kind_names[i]),
			[SUM_REGIONS] = pss_output_number(sums[i].regions),
			[SUM_SIZE] = pss_output_number(sums[i].size),
			[SUM_RESIDENT] =
				resident_value(sums[i].is_resident_known ? sums[i].resident
									 : PSSX_RESIDENT_UNKNOWN),
		};

		if (sums[i].regions > 0)
			pss_output_table_add(&table, values);
	}
	pss_output_table_end(&table);
}

int pss_show_memory_kinds(HPSS snapshot, struct pss_output *output)
{
	PSSX_REGION region = { .Size = sizeof(region) };
	struct sum sums[KIND_COUNT] = { 0 };
	DWORD error = ERROR_SUCCESS;

	for (DWORD i = 0; (error = PssxQueryRegion(snapshot, i, &region)) == ERROR_SUCCESS; i++)
		add_to_sum(&sums[region_kind(&region)], &region);
	if (error != ERROR_NO_MORE_ITEMS)
		return pss_message_library(NULL);
	print_sums(sums, output);
	return PSS_STATUS_DONE;
}
