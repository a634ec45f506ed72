// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of handles share: the specimen with its folder, and the table of a snapshot,
// walked as a program of Windows' would.
#ifndef TESTS_HANDLES_H
#define TESTS_HANDLES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t ALL = PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
			    PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
			    PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION;
static const uint32_t WITH_STOP =
	ALL | PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

static char directory[64];

/** The table of one snapshot. */
struct table {
	HPSS snapshot;
	HPSSWALK marker;
	PSS_HANDLE_ENTRY entries[512];
	size_t count;
};

static inline void walk_table(HPSS snapshot, struct table *table)
{
	PSS_HANDLE_INFORMATION information;
	DWORD code;

	*table = (struct table){ .snapshot = snapshot };
	assert_success(PssWalkMarkerCreate(NULL, &table->marker));
	while ((code = PssWalkSnapshot(snapshot, PSS_WALK_HANDLES, table->marker,
				       &table->entries[table->count], sizeof(table->entries[0]))) ==
	       ERROR_SUCCESS)
		assert_true(++table->count < 512);
	assert_int_equal(code, ERROR_NO_MORE_ITEMS);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_HANDLE_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.HandlesCaptured, table->count);
}

static inline void take_table(const struct target *target, uint32_t flags, struct table *table)
{
	walk_table(harness_capture(target, flags), table);
}

static inline void drop_table(struct table *table)
{
	assert_success(PssWalkMarkerFree(table->marker));
	harness_free_snapshot(table->snapshot);
}

/** NULL: it is not in the table. */
static inline const PSS_HANDLE_ENTRY *find_fd(const struct table *table, uint64_t fd)
{
	for (size_t i = 0; i < table->count; i++)
		if ((uint64_t)(uintptr_t)table->entries[i].Handle == fd)
			return &table->entries[i];
	return NULL;
}

/** The entry of a kind that the target announced; NULL, with its reason, if it could not make it.
 */
static inline const PSS_HANDLE_ENTRY *find(const struct table *table, const struct target *target,
					   const char *kind)
{
	int64_t fd = (int64_t)target_value(target, kind);

	if (fd < 0) {
		print_message("no %s here: %s\n", kind, strerror((int)-fd));
		return NULL;
	}
	const PSS_HANDLE_ENTRY *entry = find_fd(table, (uint64_t)fd);
	if (!entry)
		harness_fail("descriptor %lld (%s) is not in the table", (long long)fd, kind);
	return entry;
}

/** The same for a kind that every machine has. */
static inline const PSS_HANDLE_ENTRY *get(const struct table *table, const struct target *target,
					  const char *kind)
{
	const PSS_HANDLE_ENTRY *entry = find(table, target, kind);

	if (!entry)
		harness_fail("the target could not make %s", kind);
	return entry;
}

static inline const char *text(const WCHAR *units, WORD size)
{
	static char result[4][1024];
	static unsigned next;
	char *target = result[next++ % 4];

	PssxUtf16ToUtf8(units, size / sizeof(WCHAR), target, sizeof(result[0]));
	return target;
}

static inline const char *name_of(const PSS_HANDLE_ENTRY *entry)
{
	assert_true(entry->Flags & PSS_HANDLE_HAVE_NAME);
	return text(entry->ObjectName, entry->ObjectNameLength);
}

static inline void assert_type(const struct table *table, const struct target *target,
			       const char *kind, const char *type, PSS_OBJECT_TYPE object)
{
	const PSS_HANDLE_ENTRY *entry = find(table, target, kind);

	if (!entry)
		return;
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE);
	if (strcmp(text(entry->TypeName, entry->TypeNameLength), type) != 0 ||
	    entry->ObjectType != object)
		harness_fail("%s is %s (%d), not %s (%d)", kind,
			     text(entry->TypeName, entry->TypeNameLength), entry->ObjectType, type,
			     object);
}

static inline struct target *start(const char *argument, const char *second)
{
	return target_start("handles", directory, argument, second, NULL);
}

/** The descriptor in Linux' own terms; false if it is not in the snapshot. */
static inline bool find_native(HPSS snapshot, uint64_t fd, PSSX_HANDLE *ret)
{
	ret->Size = sizeof(*ret);
	for (DWORD i = 0; PssxQueryHandle(snapshot, i, ret) == ERROR_SUCCESS; i++)
		if ((uint64_t)ret->Descriptor == fd)
			return true;
	return false;
}

static inline PSSX_HANDLE *get_native(HPSS snapshot, const struct target *target, const char *kind)
{
	static PSSX_HANDLE handle;

	if (!find_native(snapshot, target_value(target, kind), &handle))
		harness_fail("%s is not in the snapshot", kind);
	return &handle;
}

static inline int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/procsnap-handles-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chmod(directory, 0777), 0);
	return 0;
}

static inline int remove_directory(void **state)
{
	static const char *const names[] = { "file", "looks (deleted)", "fifo", "socket" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

#define HANDLES_TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

#endif
