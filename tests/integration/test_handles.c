// SPDX-License-Identifier: LGPL-2.1-or-later
// Every kind of descriptor is what the snapshot says of it: type, name, access, count and state,
// wherever the process lives.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handles.h"

enum {
	INHERIT = 0x2,
	TO_READ = 0x120089,
	TO_WRITE = 0x120116,
	ATTRIBUTES_ONLY = 0x120080,
};

// Before Linux 6.5 nothing tells a semaphore from an event.
static bool is_told_of_semaphores(void)
{
	int fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	char *text = harness_read_file(path);
	assert_non_null(text);
	bool ret = strstr(text, "eventfd-semaphore: 1") != NULL;
	free(text);
	close(fd);
	return ret;
}

static void assert_semaphore(const struct table *table, const struct target *target)
{
	if (is_told_of_semaphores())
		assert_type(table, target, "semaphore", "Semaphore", PSS_OBJECT_TYPE_SEMAPHORE);
	else
		assert_type(table, target, "semaphore", "Event", PSS_OBJECT_TYPE_EVENT);
}

static void every_kind_has_its_type(void **state)
{
	static const struct {
		const char *kind, *type;
		PSS_OBJECT_TYPE object;
	} kinds[] = {
		{ "file", "File", 0 },
		{ "inherited", "File", 0 },
		{ "appended", "File", 0 },
		{ "deleted", "File", 0 },
		{ "looks", "File", 0 },
		{ "directory", "Directory", 0 },
		{ "path", "Path", 0 },
		{ "fifo", "Pipe", 0 },
		{ "pipe_read", "Pipe", 0 },
		{ "pipe_write", "Pipe", 0 },
		{ "device", "Device", 0 },
		{ "pty", "Device", 0 },
		{ "drm", "Device", 0 },
		{ "tcp_listener", "Socket", 0 },
		{ "tcp6_client", "Socket", 0 },
		{ "unix_abstract", "Socket", 0 },
		{ "netlink", "Socket", 0 },
		{ "packet", "Socket", 0 },
		{ "unbound", "Socket", 0 },
		{ "event", "Event", PSS_OBJECT_TYPE_EVENT },
		{ "event_empty", "Event", PSS_OBJECT_TYPE_EVENT },
		{ "process", "Process", PSS_OBJECT_TYPE_PROCESS },
		{ "zombie", "Process", PSS_OBJECT_TYPE_PROCESS },
		{ "reaped", "Process", PSS_OBJECT_TYPE_PROCESS },
		{ "thread", "Thread", PSS_OBJECT_TYPE_THREAD },
		{ "memfd", "Section", PSS_OBJECT_TYPE_SECTION },
		{ "shm", "Section", PSS_OBJECT_TYPE_SECTION },
		{ "secret", "Section", PSS_OBJECT_TYPE_SECTION },
		{ "timer", "Timer", 0 },
		{ "signal", "Signal", 0 },
		{ "epoll", "Epoll", 0 },
		{ "inotify", "Inotify", 0 },
		{ "fanotify", "Fanotify", 0 },
		{ "ring", "IoRing", 0 },
		{ "userfault", "Userfault", 0 },
		{ "bpf", "Bpf", 0 },
		{ "perf", "PerfEvent", 0 },
		{ "namespace", "Unknown", 0 },
	};
	static const uint32_t flags[] = { PSS_CAPTURE_HANDLES, ALL, WITH_STOP };
	_cleanup_target_ struct target *target = start(NULL, NULL);
	struct table table;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		take_table(target, flags[i], &table);
		assert_int_equal(table.count, harness_count_fds(target->pid));
		for (size_t j = 0; j < sizeof(kinds) / sizeof(kinds[0]); j++)
			assert_type(&table, target, kinds[j].kind, kinds[j].type, kinds[j].object);
		assert_semaphore(&table, target);
		drop_table(&table);
	}
}

static void assert_name(const struct table *table, const struct target *target, const char *kind,
			const char *format, ...) __attribute__((format(printf, 4, 5)));

static void assert_name(const struct table *table, const struct target *target, const char *kind,
			const char *format, ...)
{
	const PSS_HANDLE_ENTRY *entry = find(table, target, kind);
	char name[512];
	va_list arguments;

	if (!entry)
		return;
	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	assert_string_equal(name_of(entry), name);
}

static unsigned inode_of(const struct target *target, const char *kind)
{
	struct stat status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%u", target->pid,
		 (unsigned)target_value(target, kind));
	assert_int_equal(stat(path, &status), 0);
	return (unsigned)status.st_ino;
}

static unsigned number(const struct target *target, const char *key)
{
	return (unsigned)target_value(target, key);
}

static void assert_socket_names(const struct table *table, const struct target *target)
{
	unsigned port = number(target, "tcp_listener_port");
	unsigned client = number(target, "tcp_client_port");

	assert_name(table, target, "tcp_listener", "tcp 127.0.0.1:%u LISTEN", port);
	assert_name(table, target, "tcp_client", "tcp 127.0.0.1:%u -> 127.0.0.1:%u ESTABLISHED",
		    client, port);
	assert_name(table, target, "tcp_accepted", "tcp 127.0.0.1:%u -> 127.0.0.1:%u ESTABLISHED",
		    port, client);
	if (find(table, target, "tcp6_listener")) {
		port = number(target, "tcp6_listener_port");
		client = number(target, "tcp6_client_port");
		assert_name(table, target, "tcp6_listener", "tcp6 [::1]:%u LISTEN", port);
		assert_name(table, target, "tcp6_accepted", "tcp6 [::1]:%u -> [::1]:%u ESTABLISHED",
			    port, client);
	}
	assert_name(table, target, "udp", "udp 127.0.0.1:%u", number(target, "udp_port"));
	assert_name(table, target, "udp6", "udp6 [::]:%u", number(target, "udp6_port"));
	assert_name(table, target, "unix_listener", "unix stream %s/socket LISTEN", directory);
	assert_name(table, target, "unix_client", "unix stream -> %s/socket", directory);
	assert_name(table, target, "unix_accepted", "unix stream %s/socket -> socket:[%u]",
		    directory, inode_of(target, "unix_client"));
	assert_name(table, target, "unix_abstract", "unix dgram @procsnap-test-%d", target->pid);
	assert_name(table, target, "unix_pair", "unix seqpacket -> socket:[%u]",
		    inode_of(target, "unix_pair_other"));
	assert_name(table, target, "netlink", "netlink route pid %u",
		    number(target, "netlink_port"));
	assert_name(table, target, "packet", "packet lo raw protocol 0x0003");
	assert_name(table, target, "unbound", "socket:[%u]", inode_of(target, "unbound"));
}

static void names_are_those_that_people_use(void **state)
{
	_cleanup_target_ struct target *target = start(NULL, NULL);
	struct table table;

	(void)state;
	take_table(target, WITH_STOP, &table);
	assert_name(&table, target, "file", "%s/file", directory);
	assert_name(&table, target, "deleted", "%s/deleted", directory);
	assert_name(&table, target, "looks", "%s/looks (deleted)", directory);
	assert_name(&table, target, "directory", "%s", directory);
	assert_name(&table, target, "path", "%s/file", directory);
	assert_name(&table, target, "fifo", "%s/fifo", directory);
	assert_name(&table, target, "device", "/dev/null");
	assert_name(&table, target, "pipe_read", "pipe:[%u]", inode_of(target, "pipe_write"));
	assert_name(&table, target, "process", "pid %u", number(target, "process_pid"));
	assert_name(&table, target, "thread", "tid %u", number(target, "thread_tid"));
	assert_name(&table, target, "reaped", "reaped");
	assert_name(&table, target, "memfd", "memfd:store");
	assert_name(&table, target, "timer", "CLOCK_MONOTONIC");
	assert_name(&table, target, "namespace", "net:[%u]", inode_of(target, "namespace"));
	assert_socket_names(&table, target);
	// What has no name has none.
	assert_false(get(&table, target, "event")->Flags & PSS_HANDLE_HAVE_NAME);
	assert_false(get(&table, target, "epoll")->Flags & PSS_HANDLE_HAVE_NAME);
	assert_null(get(&table, target, "epoll")->ObjectName);
	drop_table(&table);
}

static void basic_information_is_how_it_was_opened(void **state)
{
	_cleanup_target_ struct target *target = start(NULL, NULL);
	struct table table;

	(void)state;
	take_table(target, WITH_STOP, &table);
	for (size_t i = 0; i < table.count; i++) {
		assert_true(table.entries[i].Flags & PSS_HANDLE_HAVE_BASIC_INFORMATION);
		assert_int_equal(table.entries[i].HandleCount, 1);
	}
	assert_int_equal(get(&table, target, "file")->Attributes, 0);
	assert_int_equal(get(&table, target, "inherited")->Attributes, INHERIT);
	assert_int_equal(get(&table, target, "file")->GrantedAccess, TO_READ | TO_WRITE);
	assert_int_equal(get(&table, target, "inherited")->GrantedAccess, TO_READ);
	assert_int_equal(get(&table, target, "appended")->GrantedAccess, TO_WRITE);
	assert_int_equal(get(&table, target, "pipe_read")->GrantedAccess, TO_READ);
	assert_int_equal(get(&table, target, "pipe_write")->GrantedAccess, TO_WRITE);
	// Neither reading nor writing.
	assert_int_equal(get(&table, target, "path")->GrantedAccess, ATTRIBUTES_ONLY);
	// Descriptor 0 is one like any other.
	assert_non_null(find_fd(&table, 0));
	drop_table(&table);
}

static void assert_tasks(const struct table *table, const struct target *target)
{
	const PSS_HANDLE_ENTRY *entry = get(table, target, "process");

	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_int_equal(entry->TypeSpecificInformation.Process.ProcessId,
			 target_value(target, "process_pid"));
	assert_int_equal(entry->TypeSpecificInformation.Process.ParentProcessId, target->pid);
	assert_int_equal(entry->TypeSpecificInformation.Process.ExitStatus, STILL_ACTIVE);
	assert_int_not_equal(entry->TypeSpecificInformation.Process.AffinityMask, 0);
	entry = get(table, target, "zombie");
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_int_equal(entry->TypeSpecificInformation.Process.ProcessId,
			 target_value(target, "zombie_pid"));
	assert_int_equal(entry->TypeSpecificInformation.Process.ExitStatus, 7);
	// Nobody knows any more what it was.
	entry = get(table, target, "reaped");
	assert_false(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	entry = find(table, target, "thread");
	if (!entry)
		return;
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_int_equal(entry->TypeSpecificInformation.Thread.ThreadId,
			 target_value(target, "thread_tid"));
	assert_int_equal(entry->TypeSpecificInformation.Thread.ProcessId, target->pid);
	assert_int_equal(entry->TypeSpecificInformation.Thread.ExitStatus, STILL_ACTIVE);
}

static void type_specific_information_is_the_state(void **state)
{
	_cleanup_target_ struct target *target = start(NULL, NULL);
	const PSS_HANDLE_ENTRY *entry;
	struct table table;

	(void)state;
	take_table(target, WITH_STOP, &table);
	entry = get(&table, target, "event");
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_true(entry->TypeSpecificInformation.Event.Signaled);
	assert_true(entry->TypeSpecificInformation.Event.ManualReset);
	entry = get(&table, target, "event_empty");
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_false(entry->TypeSpecificInformation.Event.Signaled);
	entry = get(&table, target, "semaphore");
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	if (is_told_of_semaphores()) {
		assert_int_equal(entry->TypeSpecificInformation.Semaphore.CurrentCount, 3);
		assert_int_equal(entry->TypeSpecificInformation.Semaphore.MaximumCount, INT32_MAX);
	} else {
		assert_true(entry->TypeSpecificInformation.Event.Signaled);
	}
	entry = get(&table, target, "memfd");
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_int_equal(entry->TypeSpecificInformation.Section.MaximumSize.QuadPart, 0x5000);
	entry = get(&table, target, "shm");
	assert_int_equal(entry->TypeSpecificInformation.Section.MaximumSize.QuadPart, 0x3000);
	// For other kinds there is none.
	assert_false(get(&table, target, "file")->Flags &
		     PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION);
	assert_tasks(&table, target);
	drop_table(&table);
}

static void flags_say_exactly_what_was_asked_for(void **state)
{
	_cleanup_target_ struct target *target = start(NULL, NULL);
	static const struct {
		uint32_t asked;
		unsigned have;
	} rows[] = {
		{ PSS_CAPTURE_HANDLE_NAME_INFORMATION, PSS_HANDLE_HAVE_NAME },
		{ PSS_CAPTURE_HANDLE_BASIC_INFORMATION, PSS_HANDLE_HAVE_BASIC_INFORMATION },
		{ PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION,
		  PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION },
		{ 0, 0 },
	};
	PSS_HANDLE_INFORMATION information;
	PSS_HANDLE_ENTRY buffer;
	struct table table;
	HPSSWALK marker;

	(void)state;
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned seen = 0;

		take_table(target, PSS_CAPTURE_HANDLES | rows[i].asked, &table);
		for (size_t j = 0; j < table.count; j++)
			seen |= (unsigned)table.entries[j].Flags;
		assert_int_equal(seen, PSS_HANDLE_HAVE_TYPE | rows[i].have);
		assert_int_equal(get(&table, target, "memfd")->Flags, seen);
		drop_table(&table);
		// Without PSS_CAPTURE_HANDLES there is no table.
		HPSS snapshot = harness_capture(target, rows[i].asked);
		assert_int_equal(PssQuerySnapshot(snapshot, PSS_QUERY_HANDLE_INFORMATION,
						  &information, sizeof(information)),
				 ERROR_NOT_FOUND);
		assert_int_equal(PssWalkSnapshot(snapshot, PSS_WALK_HANDLES, marker, &buffer,
						 sizeof(buffer)),
				 ERROR_NOT_FOUND);
		harness_free_snapshot(snapshot);
	}
	assert_success(PssWalkMarkerFree(marker));
}

static void linux_own_terms(void **state)
{
	_cleanup_target_ struct target *target = start(NULL, NULL);
	HPSS snapshot = harness_capture(target, WITH_STOP);
	PSSX_HANDLE *handle = get_native(snapshot, target, "file");
	struct stat status;
	char info[4096];
	SIZE_T size = 4;

	(void)state;
	snprintf(info, sizeof(info), "%s/file", directory);
	assert_int_equal(stat(info, &status), 0);
	assert_int_equal(handle->Kind, PSSX_HANDLE_KIND_FILE);
	assert_int_equal(handle->Flags,
			 PSSX_HANDLE_CLOSE_ON_EXEC | PSSX_HANDLE_HAS_INFO | PSSX_HANDLE_HAS_INODE);
	assert_int_equal(handle->Position, 7);
	assert_int_equal(handle->SizeBytes, 10);
	assert_int_equal(handle->Inode, status.st_ino);
	assert_int_equal(handle->Mode, S_IFREG | 0640);
	assert_int_equal(handle->OpenFlags & (O_ACCMODE | O_CLOEXEC), O_RDWR);
	assert_string_equal(handle->Link, info);
	handle = get_native(snapshot, target, "deleted");
	assert_true(handle->Flags & PSSX_HANDLE_DELETED);
	handle = get_native(snapshot, target, "looks");
	assert_false(handle->Flags & PSSX_HANDLE_DELETED);
	handle = get_native(snapshot, target, "event");
	assert_true(handle->Flags & PSSX_HANDLE_HAS_COUNT);
	assert_int_equal(handle->Count, 5);
	handle = get_native(snapshot, target, "process");
	assert_true(handle->Flags & PSSX_HANDLE_HAS_TASK);
	assert_int_equal(handle->Pid, target_value(target, "process_pid"));
	// Descriptor 0 comes first.
	assert_int_equal(PssxQueryHandleInfo(snapshot, 0, info, &size), ERROR_INSUFFICIENT_BUFFER);
	assert_success(PssxQueryHandleInfo(snapshot, 0, info, &size));
	assert_memory_equal(info, "pos:\t", 5);
	assert_int_equal(info[size - 1], '\n');
	harness_free_snapshot(snapshot);
}

static void sockets_of_another_network_namespace(void **state)
{
	_cleanup_target_ struct target *target = start("netns", NULL);
	static const uint32_t flags[] = { ALL, WITH_STOP };
	struct table table;

	(void)state;
	if (!target)
		skip();
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		take_table(target, flags[i], &table);
		assert_socket_names(&table, target);
		drop_table(&table);
	}
}

static void table_of_a_process_whose_leader_has_exited(void **state)
{
	_cleanup_target_ struct target *target = start("gone", NULL);
	static const uint32_t flags[] = { ALL, WITH_STOP };
	struct table table;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		take_table(target, flags[i], &table);
		assert_semaphore(&table, target);
		assert_name(&table, target, "file", "%s/file", directory);
		assert_non_null(find_fd(&table, 0));
		drop_table(&table);
	}
}

static void process_of_another_user(void **state)
{
	struct target_options options = { .uid = 65534 };
	_cleanup_target_ struct target *target =
		target_start_with(&options, "handles", directory, NULL);
	struct table table;

	(void)state;
	if (geteuid() != 0)
		skip();
	take_table(target, WITH_STOP, &table);
	assert_type(&table, target, "event", "Event", PSS_OBJECT_TYPE_EVENT);
	assert_socket_names(&table, target);
	drop_table(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HANDLES_TEST(every_kind_has_its_type),
		HANDLES_TEST(names_are_those_that_people_use),
		HANDLES_TEST(basic_information_is_how_it_was_opened),
		HANDLES_TEST(type_specific_information_is_the_state),
		HANDLES_TEST(flags_say_exactly_what_was_asked_for),
		HANDLES_TEST(linux_own_terms),
		HANDLES_TEST(sockets_of_another_network_namespace),
		HANDLES_TEST(table_of_a_process_whose_leader_has_exited),
		HANDLES_TEST(process_of_another_user),
	};

	harness_begin("test_handles");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
