// SPDX-License-Identifier: LGPL-2.1-or-later
// VirtualQueryEx: the same answers as the walk of the address space, on a clone and on the live
// process, and the scan from end to end that programs do.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;

static const uint64_t PAGE = 4096;
static const uint64_t USER_END = 1ull << 47;

static uint64_t number(const void *pointer)
{
	return (uintptr_t)pointer;
}

static MEMORY_BASIC_INFORMATION query(HANDLE process, uint64_t address)
{
	MEMORY_BASIC_INFORMATION basic;
	SIZE_T size;

	memset(&basic, 0xa5, sizeof(basic));
	size = VirtualQueryEx(process, (void *)(uintptr_t)address, &basic, sizeof(basic));
	if (size != sizeof(basic))
		harness_fail("VirtualQueryEx of %#llx gives %zu, error %u: %s",
			     (unsigned long long)address, (size_t)size, GetLastError(),
			     PssxErrorText());
	return basic;
}

static void assert_fails(HANDLE process, uint64_t address, DWORD error)
{
	MEMORY_BASIC_INFORMATION basic, before;

	memset(&basic, 0xa5, sizeof(basic));
	before = basic;
	SetLastError(ERROR_SUCCESS);
	assert_int_equal(VirtualQueryEx(process, (void *)(uintptr_t)address, &basic, sizeof(basic)),
			 0);
	if (GetLastError() != error)
		harness_fail("VirtualQueryEx of %#llx fails with %u, not %u: %s",
			     (unsigned long long)address, GetLastError(), error, PssxErrorText());
	assert_memory_equal(&basic, &before, sizeof(basic));
}

static void assert_entry(HANDLE process, const PSS_VA_SPACE_ENTRY *entry, uint64_t address)
{
	MEMORY_BASIC_INFORMATION basic = query(process, address);
	uint64_t page = address & ~(PAGE - 1);

	assert_int_equal(number(basic.BaseAddress), page);
	assert_int_equal(basic.RegionSize, number(entry->BaseAddress) + entry->RegionSize - page);
	if (basic.AllocationBase != entry->AllocationBase || basic.State != entry->State ||
	    basic.Protect != entry->Protect || basic.Type != entry->Type ||
	    basic.AllocationProtect != entry->AllocationProtect)
		harness_fail("%#llx: base %p state %#x protect %#x type %#x; the walk says "
			     "base %p state %#x protect %#x type %#x",
			     (unsigned long long)address, basic.AllocationBase, basic.State,
			     basic.Protect, basic.Type, entry->AllocationBase, entry->State,
			     entry->Protect, entry->Type);
	assert_int_equal(basic.PartitionId, 0);
}

/** Compares each entry of the walk with what @process says at its first, middle and last byte. */
static unsigned compare_with_walk(HPSS snapshot, HANDLE process)
{
	PSS_VA_SPACE_ENTRY entry;
	unsigned count = 0;
	HPSSWALK marker;
	DWORD code;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	while ((code = PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &entry,
				       sizeof(entry))) == ERROR_SUCCESS) {
		uint64_t start = number(entry.BaseAddress);

		assert_entry(process, &entry, start);
		assert_entry(process, &entry, start + entry.RegionSize / 2 + 1);
		assert_entry(process, &entry, start + entry.RegionSize - 1);
		count++;
	}
	assert_int_equal(code, ERROR_NO_MORE_ITEMS);
	assert_success(PssWalkMarkerFree(marker));
	return count;
}

static void a_clone_answers_as_the_walk_does(void **state)
{
	_cleanup_target_ struct target *target = target_start("memory_kinds", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);

	(void)state;
	assert_true(compare_with_walk(snapshot, harness_clone(snapshot)) > 20);
	// The clone does not change, whatever the target does, and an HPSS stands for the same.
	target_ask(target, "change");
	assert_true(compare_with_walk(snapshot, (HANDLE)snapshot) > 20);
	target_stop(target);
	target = NULL;
	assert_true(compare_with_walk(snapshot, harness_clone(snapshot)) > 20);
	harness_free_snapshot(snapshot);
}

static void a_live_process_answers_as_its_snapshot_does(void **state)
{
	_cleanup_target_ struct target *target = target_start("memory_kinds", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	struct patient *patient;

	(void)state;
	assert_true(compare_with_walk(snapshot, target_handle(target)) > 20);
	harness_free_snapshot(snapshot);
	// A snapshot without clone is read from the process itself.
	snapshot = harness_capture(target,
				   PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION);
	target_wait_asleep(target); // the first snapshot's clone was reaped by it just now
	patient = patient_record(target->pid);
	assert_true(compare_with_walk(snapshot, target_handle(target)) > 20);
	patient_assert_same(patient);
	patient_free(patient);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void kinds_have_their_values(void **state)
{
	static const struct {
		const char *name;
		DWORD state, protect, type;
	} kinds[] = {
		{ "private", MEM_COMMIT, PAGE_READWRITE, MEM_PRIVATE },
		{ "read_only", MEM_COMMIT, PAGE_READONLY, MEM_PRIVATE },
		{ "no_access", MEM_COMMIT, PAGE_NOACCESS, MEM_PRIVATE }, // it holds pages
		{ "shared_anonymous", MEM_COMMIT, PAGE_READWRITE, MEM_MAPPED },
		{ "private_file_clean", MEM_COMMIT, PAGE_WRITECOPY, MEM_MAPPED },
		{ "shared_file", MEM_COMMIT, PAGE_READWRITE, MEM_MAPPED },
		{ "memfd_private", MEM_COMMIT, PAGE_WRITECOPY, MEM_MAPPED },
	};
	_cleanup_target_ struct target *target = target_start("memory_kinds", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	const HANDLE handles[] = { target_handle(target), harness_clone(snapshot) };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (size_t k = 0; k < 2; k++) {
			MEMORY_BASIC_INFORMATION basic =
				query(handles[k], target_value(target, kinds[i].name));

			if (basic.State != kinds[i].state || basic.Protect != kinds[i].protect ||
			    basic.Type != kinds[i].type)
				harness_fail("%s: state %#x protect %#x type %#x", kinds[i].name,
					     basic.State, basic.Protect, basic.Type);
		}
	}
	harness_free_snapshot(snapshot);
}

static void address_space_set_aside_is_reserved(void **state)
{
	_cleanup_target_ struct target *target = target_start("reserve", "100", "8", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	uint64_t island = target_value(target, "island");
	const HANDLE handles[] = { target_handle(target), harness_clone(snapshot) };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		MEMORY_BASIC_INFORMATION basic = query(handles[i], island);

		assert_int_equal(basic.State, MEM_COMMIT);
		basic = query(handles[i], island + basic.RegionSize);
		assert_int_equal(basic.State, MEM_RESERVE);
		assert_int_equal(basic.Protect, PAGE_NOACCESS);
		assert_true(basic.RegionSize > 1 << 30);
	}
	harness_free_snapshot(snapshot);
}

/** The loop that programs do. Compares what it visits with maps of @pid; the number of regions. */
static unsigned scan(HANDLE process, pid_t pid, uint64_t skipped)
{
	char path[64], *maps, *line;
	uint64_t address = 0, mapped_end = 0;
	MEMORY_BASIC_INFORMATION basic;
	unsigned count = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = harness_read_file(path);
	assert_non_null(maps);
	line = maps;
	while (VirtualQueryEx(process, (void *)(uintptr_t)address, &basic, sizeof(basic))) {
		unsigned long long start, end;

		assert_int_equal(number(basic.BaseAddress), address);
		assert_true(basic.RegionSize > 0);
		if (basic.State == MEM_FREE) {
			// Two free ranges in a row would be one.
			assert_true(address == mapped_end);
			assert_int_equal(basic.Protect, PAGE_NOACCESS);
			assert_null(basic.AllocationBase);
			assert_int_equal(basic.Type, 0);
			address += basic.RegionSize;
			continue;
		}
		assert_int_equal(sscanf(line, "%llx-%llx", &start, &end), 2);
		if (start == skipped) {
			line = strchr(line, '\n') + 1;
			assert_int_equal(sscanf(line, "%llx-%llx", &start, &end), 2);
		}
		assert_int_equal(address, start);
		assert_int_equal(address + basic.RegionSize, end);
		assert_true(number(basic.AllocationBase) <= address);
		address = mapped_end = end;
		line = strchr(line, '\n') + 1;
		count++;
	}
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	// What maps lists beyond is the kernel's half.
	assert_true(*line == '\0' || strstr(line, "[vsyscall]") != NULL);
	assert_true(address > mapped_end && address <= USER_END);
	free(maps);
	return count;
}

static void a_scan_visits_each_mapping_once_and_ends(void **state)
{
	_cleanup_target_ struct target *target = target_start("many_maps", "400", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	HANDLE clone = harness_clone(snapshot);

	(void)state;
	assert_true(scan(clone, (pid_t)GetProcessId(clone), 0) > 400);
	harness_free_snapshot(snapshot);
	assert_true(scan(target_handle(target), target->pid, 0) > 400);
	target_assert_unharmed(target);
}

static void a_scan_of_a_clone_costs_no_square(void **state)
{
	_cleanup_target_ struct target *target = target_start("many_maps", "30000", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	HANDLE clone = harness_clone(snapshot);
	uint64_t since = harness_now_ns();

	(void)state;
	assert_true(scan(clone, (pid_t)GetProcessId(clone), 0) > 30000);
	// A few microseconds each. To read the mappings at each step would take minutes.
	assert_false(harness_is_past(since, 10000));
	harness_free_snapshot(snapshot);
}

static void the_calling_process_is_seen_without_what_the_question_maps(void **state)
{
	const HANDLE self = GetCurrentProcess();
	HANDLE opened = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
	MEMORY_BASIC_INFORMATION basic;
	char *memory =
		mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	// Bounded by pages of another sort, and a hole as large as a buffer below them.
	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory, PAGE, PROT_READ), 0);
	assert_int_equal(mprotect(memory + 15 * PAGE, PAGE, PROT_READ), 0);
	basic = query(self, number(memory) + 3 * PAGE + 17);
	assert_int_equal(number(basic.BaseAddress), number(memory) + 3 * PAGE);
	assert_int_equal(basic.RegionSize, 12 * PAGE);
	assert_int_equal(basic.Protect, PAGE_READWRITE);
	basic = query(opened, number(memory));
	assert_int_equal(basic.RegionSize, PAGE);
	assert_int_equal(basic.Protect, PAGE_READONLY);
	assert_int_equal(query(self, number(&basic)).Type, MEM_PRIVATE);
	assert_int_equal(query(self, number((void *)(uintptr_t)scan)).Type, MEM_IMAGE);
	assert_int_equal(query(self, number((void *)(uintptr_t)scan)).Protect, PAGE_EXECUTE_READ);
	assert_int_equal(munmap(memory, 16 * PAGE), 0);
	basic = query(self, number(memory) + PAGE);
	assert_int_equal(basic.State, MEM_FREE);
	assert_true(basic.RegionSize >= 15 * PAGE);
	assert_true(CloseHandle(opened));
	scan(self, getpid(), 0);
}

static void bad_questions_are_refused_and_touch_nothing(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	HPSS without = harness_capture(target, PSS_CAPTURE_VA_SPACE);
	const HANDLE handles[] = { GetCurrentProcess(), target_handle(target),
				   harness_clone(snapshot) };
	MEMORY_BASIC_INFORMATION basic[2];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_fails(handles[i], USER_END, ERROR_INVALID_PARAMETER);
		assert_fails(handles[i], UINT64_MAX, ERROR_INVALID_PARAMETER);
		assert_fails(handles[i], 1ull << 63, ERROR_INVALID_PARAMETER);
		assert_int_equal(VirtualQueryEx(handles[i], NULL, basic, sizeof(basic[0]) - 1), 0);
		assert_int_equal(GetLastError(), ERROR_BAD_LENGTH);
		assert_int_equal(VirtualQueryEx(handles[i], NULL, NULL, sizeof(basic[0])), 0);
		assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
		memset(basic, 0xa5, sizeof(basic));
		assert_int_equal(VirtualQueryEx(handles[i], NULL, basic, sizeof(basic)),
				 sizeof(basic[0]));
		assert_int_equal(*(uint8_t *)&basic[1], 0xa5);
	}
	assert_fails(NULL, PAGE, ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "NULL"));
	assert_fails((HANDLE)(intptr_t)target->answers, PAGE, ERROR_INVALID_HANDLE);
	assert_fails((HANDLE)without, PAGE, ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "PSS_CAPTURE_VA_CLONE"));
	harness_free_snapshot(snapshot);
	harness_free_snapshot(without);
}

static void what_has_ended_has_no_address_space(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	HANDLE clone = harness_clone(snapshot);
	uint64_t pattern = target_value(target, "pattern"), since = harness_now_ns();
	MEMORY_BASIC_INFORMATION basic;
	HANDLE child_handle;
	pid_t child;

	(void)state;
	assert_int_equal(query(clone, pattern).State, MEM_COMMIT);
	assert_true(TerminateProcess(clone, 1));
	while (VirtualQueryEx(clone, (void *)(uintptr_t)pattern, &basic, sizeof(basic)))
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("a killed clone still has regions");
	assert_fails(clone, pattern, ERROR_ACCESS_DENIED);
	assert_fails((HANDLE)snapshot, pattern, ERROR_ACCESS_DENIED);
	assert_non_null(strstr(PssxErrorText(), "clone"));
	harness_free_snapshot(snapshot);
	assert_int_equal(query(target_handle(target), pattern).State, MEM_COMMIT);

	child = harness_fork();
	if (child == 0)
		_exit(0);
	child_handle = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)child);
	assert_non_null(child_handle);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_fails(child_handle, pattern, ERROR_ACCESS_DENIED); // a zombie
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_fails(child_handle, pattern, ERROR_ACCESS_DENIED);
	assert_true(CloseHandle(child_handle));
}

static void threads_without_their_leader_still_have_memory(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_gone", NULL);
	uint64_t pattern = target_value(target, "pattern"), word = 0;
	MEMORY_BASIC_INFORMATION basic = query(target_handle(target), pattern);

	(void)state;
	assert_int_equal(basic.Protect, PAGE_READWRITE);
	assert_true(ReadProcessMemory(target_handle(target), (void *)(uintptr_t)pattern, &word,
				      sizeof(word), NULL));
	assert_int_equal(word, 0x9e3779b97f4a7c15u);
}

// Runs in a child, as an ordinary user who owns nothing here.
static void ask_as_nobody(const struct target *target, int answer_fd)
{
	MEMORY_BASIC_INFORMATION basic;
	DWORD code;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		_exit(1);
	code = VirtualQueryEx(target_handle(target), (void *)(uintptr_t)PAGE, &basic,
			      sizeof(basic)) == 0
		       ? GetLastError()
		       : ERROR_SUCCESS;
	if (write(answer_fd, &code, sizeof(code)) != sizeof(code) ||
	    write(answer_fd, PssxErrorText(), strlen(PssxErrorText()) + 1) <= 0)
		_exit(1);
	_exit(0);
}

static void another_users_process_is_not_shown_and_the_text_says_why(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	char text[1024] = "";
	DWORD code = 0;
	int ends[2];
	pid_t child;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to become another user\n");
		return;
	}
	assert_int_equal(pipe(ends), 0);
	child = harness_fork();
	if (child == 0)
		ask_as_nobody(target, ends[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(read(ends[0], &code, sizeof(code)), sizeof(code));
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_int_equal(code, ERROR_ACCESS_DENIED);
	if (!strstr(text, "user 0 and you are 65534"))
		harness_fail("the text is: %s", text);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clone_answers_as_the_walk_does),
		cmocka_unit_test(a_live_process_answers_as_its_snapshot_does),
		cmocka_unit_test(kinds_have_their_values),
		cmocka_unit_test(address_space_set_aside_is_reserved),
		cmocka_unit_test(a_scan_visits_each_mapping_once_and_ends),
		cmocka_unit_test(a_scan_of_a_clone_costs_no_square),
		cmocka_unit_test(the_calling_process_is_seen_without_what_the_question_maps),
		cmocka_unit_test(bad_questions_are_refused_and_touch_nothing),
		cmocka_unit_test(what_has_ended_has_no_address_space),
		cmocka_unit_test(threads_without_their_leader_still_have_memory),
		cmocka_unit_test(another_users_process_is_not_shown_and_the_text_says_why),
	};

	harness_begin("test_virtual_query");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
