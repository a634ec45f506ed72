// SPDX-License-Identifier: LGPL-2.1-or-later
// PSS_HANDLE_ENTRY: which groups are valid under which flag, lengths, kinds without an arm of their
// own, details at the capture. On descriptors of this very process. Names quote the rule.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

static const uint32_t NAMES = PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION;
static const uint32_t BASICS = PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_BASIC_INFORMATION;
static const uint32_t SPECIFICS =
	PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION;

/** Descriptors of every sort that Windows has a word for, and some of which it has none. */
static struct {
	int file, event, signaled, semaphore, process, section, pipes[2], socket;
	pid_t child;
} held;

static int hold(void **state)
{
	char name[64];

	(void)state;
	held.child = harness_fork();
	while (held.child == 0)
		pause();
	snprintf(name, sizeof(name), "/tmp/handle-rules-%d", getpid());
	held.file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	unlink(name);
	held.event = eventfd(0, EFD_CLOEXEC);
	held.signaled = eventfd(1, 0);
	held.semaphore = eventfd(5, EFD_SEMAPHORE | EFD_CLOEXEC);
	held.process = (int)syscall(SYS_pidfd_open, held.child, 0);
	held.section = memfd_create("rules", MFD_CLOEXEC);
	held.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(pipe2(held.pipes, O_CLOEXEC), 0);
	assert_int_equal(ftruncate(held.section, 12345), 0);
	assert_true(held.file > 2 && held.process > 2 && held.section > 2 && held.socket > 2);
	return 0;
}

static int release(void **state)
{
	const int fds[] = { held.file,    held.event,  held.signaled, held.semaphore, held.process,
			    held.section, held.socket, held.pipes[0], held.pipes[1] };

	(void)state;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	kill(held.child, SIGKILL);
	assert_int_equal(waitpid(held.child, NULL, 0), held.child);
	return 0;
}

/** A capture of ourselves being walked. */
struct walk {
	HPSS snapshot;
	HPSSWALK marker;
};

static struct walk begin(uint32_t flags)
{
	struct walk walk = { NULL, NULL };

	assert_success(PssCaptureSnapshot(GetCurrentProcess(), (PSS_CAPTURE_FLAGS)flags, 0,
					  &walk.snapshot));
	assert_success(PssWalkMarkerCreate(NULL, &walk.marker));
	return walk;
}

static bool next(const struct walk *walk, PSS_HANDLE_ENTRY *entry)
{
	DWORD code = PssWalkSnapshot(walk->snapshot, PSS_WALK_HANDLES, walk->marker, entry,
				     sizeof(*entry));

	assert_true(code == ERROR_SUCCESS || code == ERROR_NO_MORE_ITEMS);
	return code == ERROR_SUCCESS;
}

static PSS_HANDLE_ENTRY find(const struct walk *walk, int fd)
{
	PSS_HANDLE_ENTRY entry;

	assert_success(PssWalkMarkerSeekToBeginning(walk->marker));
	do
		if (!next(walk, &entry))
			harness_fail("descriptor %d is not listed", fd);
	while ((int)(intptr_t)entry.Handle != fd);
	return entry;
}

static void end(const struct walk *walk)
{
	assert_success(PssWalkMarkerFree(walk->marker));
	assert_success(PssFreeSnapshot(GetCurrentProcess(), walk->snapshot));
}

static void assert_group(const struct walk *walk, PSS_HANDLE_FLAGS allowed)
{
	static const FILETIME none;
	PSS_HANDLE_ENTRY entry;
	unsigned count = 0;

	while (next(walk, &entry)) {
		assert_int_equal(entry.Flags & ~(unsigned)(PSS_HANDLE_HAVE_TYPE | allowed), 0);
		if (!(entry.Flags & PSS_HANDLE_HAVE_NAME)) {
			assert_null(entry.ObjectName);
			assert_int_equal(entry.ObjectNameLength, 0);
		}
		if (!(entry.Flags & PSS_HANDLE_HAVE_BASIC_INFORMATION))
			assert_int_equal(entry.Attributes | entry.GrantedAccess |
						 entry.HandleCount | entry.PointerCount |
						 entry.PagedPoolCharge | entry.NonPagedPoolCharge,
					 0);
		if (!(entry.Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION)) {
			static const PSS_HANDLE_ENTRY empty;

			assert_memory_equal(&entry.TypeSpecificInformation,
					    &empty.TypeSpecificInformation,
					    sizeof(entry.TypeSpecificInformation));
		}
		assert_memory_not_equal(&entry.CaptureTime, &none, sizeof(none));
		count++;
	}
	assert_true(count >= 9);
}

static void each_group_is_valid_under_its_flag_and_zero_otherwise(void **state)
{
	static const struct {
		uint32_t flags;
		PSS_HANDLE_FLAGS group;
	} rows[] = {
		{ PSS_CAPTURE_HANDLES, PSS_HANDLE_NONE },
		{ NAMES, PSS_HANDLE_HAVE_NAME },
		{ BASICS, PSS_HANDLE_HAVE_BASIC_INFORMATION },
		{ SPECIFICS, PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct walk walk = begin(rows[i].flags);
		PSS_HANDLE_ENTRY entry;

		assert_group(&walk, rows[i].group);
		entry = find(&walk, held.semaphore);
		if (rows[i].group != PSS_HANDLE_HAVE_NAME) // it has none
			assert_true((entry.Flags & rows[i].group) == rows[i].group);
		end(&walk);
	}
}

static void Handle_is_the_value_in_the_target_and_0_is_one(void **state)
{
	int saved = dup(0), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct walk walk;

	(void)state;
	assert_int_equal(dup2(null, 0), 0);
	walk = begin(NAMES);
	assert_null(find(&walk, 0).Handle);
	assert_memory_equal(find(&walk, 0).ObjectName, u"/dev/null", 18);
	end(&walk);
	dup2(saved, 0);
	close(saved);
	close(null);
}

static void assert_type(const struct walk *walk, int fd, PSS_OBJECT_TYPE type, const WCHAR *name,
			WORD size)
{
	PSS_HANDLE_ENTRY entry = find(walk, fd);

	assert_true(entry.Flags & PSS_HANDLE_HAVE_TYPE);
	assert_int_equal(entry.ObjectType, type);
	// In bytes, the terminator behind them not counted.
	assert_int_equal(entry.TypeNameLength, size);
	assert_memory_equal(entry.TypeName, name, size);
	assert_int_equal(entry.TypeName[size / sizeof(WCHAR)], 0);
}

#define ASSERT_TYPE(walk, fd, type, name)                                                          \
	assert_type(walk, fd, type, u"" name, sizeof(u"" name) - sizeof(WCHAR))

static void kinds_that_Windows_lacks_are_UNKNOWN_but_have_a_TypeName(void **state)
{
	struct walk walk = begin(PSS_CAPTURE_HANDLES);

	(void)state;
	ASSERT_TYPE(&walk, held.file, PSS_OBJECT_TYPE_UNKNOWN, "File");
	ASSERT_TYPE(&walk, held.pipes[0], PSS_OBJECT_TYPE_UNKNOWN, "Pipe");
	ASSERT_TYPE(&walk, held.socket, PSS_OBJECT_TYPE_UNKNOWN, "Socket");
	ASSERT_TYPE(&walk, held.event, PSS_OBJECT_TYPE_EVENT, "Event");
	ASSERT_TYPE(&walk, held.semaphore, PSS_OBJECT_TYPE_SEMAPHORE, "Semaphore");
	ASSERT_TYPE(&walk, held.process, PSS_OBJECT_TYPE_PROCESS, "Process");
	ASSERT_TYPE(&walk, held.section, PSS_OBJECT_TYPE_SECTION, "Section");
	end(&walk);
}

static void details_are_those_of_the_capture(void **state)
{
	struct walk walk = begin(SPECIFICS);
	PSS_HANDLE_ENTRY entry;

	(void)state;
	// What happens now comes too late.
	eventfd_write(held.event, 1);
	entry = find(&walk, held.event);
	assert_false(entry.TypeSpecificInformation.Event.Signaled);
	assert_true(find(&walk, held.signaled).TypeSpecificInformation.Event.Signaled);
	entry = find(&walk, held.semaphore);
	assert_int_equal(entry.TypeSpecificInformation.Semaphore.CurrentCount, 5);
	entry = find(&walk, held.process);
	assert_int_equal(entry.TypeSpecificInformation.Process.ProcessId, held.child);
	assert_int_equal(entry.TypeSpecificInformation.Process.ParentProcessId, getpid());
	assert_int_equal(entry.TypeSpecificInformation.Process.ExitStatus, STILL_ACTIVE);
	entry = find(&walk, held.section);
	assert_int_equal(entry.TypeSpecificInformation.Section.MaximumSize.QuadPart, 12345);
	end(&walk);
	eventfd_read(held.event, &(eventfd_t){ 0 });
}

static void Attributes_tell_inheritance_and_GrantedAccess_the_open_mode(void **state)
{
	struct walk walk = begin(BASICS);

	(void)state;
	assert_int_equal(find(&walk, held.event).Attributes, 0);
	assert_int_equal(find(&walk, held.signaled).Attributes, 2); // OBJ_INHERIT
	assert_int_equal(find(&walk, held.pipes[0]).GrantedAccess, 0x120089);
	assert_int_equal(find(&walk, held.pipes[1]).GrantedAccess, 0x120116);
	assert_int_equal(find(&walk, held.file).GrantedAccess, 0x120089 | 0x120116);
	assert_int_equal(find(&walk, held.file).HandleCount, 1);
	end(&walk);
}

static void names_and_type_names_live_until_the_marker_is_freed(void **state)
{
	struct walk walk = begin(NAMES);
	PSS_HANDLE_ENTRY first = find(&walk, 2), entry;
	WCHAR copy[4096];
	HPSSWALK other = NULL;

	(void)state;
	memcpy(copy, first.ObjectName, first.ObjectNameLength);
	while (next(&walk, &entry))
		;
	assert_success(PssFreeSnapshot(GetCurrentProcess(), walk.snapshot));
	assert_success(PssWalkMarkerCreate(NULL, &other));
	assert_memory_equal(copy, first.ObjectName, first.ObjectNameLength);
	assert_true(first.TypeNameLength > 0 && first.TypeName[0]);
	assert_success(PssWalkMarkerFree(other));
	assert_success(PssWalkMarkerFree(walk.marker));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_group_is_valid_under_its_flag_and_zero_otherwise),
		cmocka_unit_test(Handle_is_the_value_in_the_target_and_0_is_one),
		cmocka_unit_test(kinds_that_Windows_lacks_are_UNKNOWN_but_have_a_TypeName),
		cmocka_unit_test(details_are_those_of_the_capture),
		cmocka_unit_test(Attributes_tell_inheritance_and_GrantedAccess_the_open_mode),
		cmocka_unit_test(names_and_type_names_live_until_the_marker_is_freed),
	};

	harness_begin("test_handle_rules");
	return cmocka_run_group_tests(tests, hold, release);
}
