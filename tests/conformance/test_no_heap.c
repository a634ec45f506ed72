// SPDX-License-Identifier: LGPL-2.1-or-later
// PSS_CREATE_USE_VM_ALLOCATIONS: no use of the process heap in any step, lasting or temporary. This
// program's own malloc and its kin end it when they are called between capture and free; and then
// everything that the heap holds is overwritten, before a capture of the process itself and of
// another.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static volatile bool is_forbidden;

static void check_use(const char *name)
{
	if (!is_forbidden)
		return;
	(void)!write(STDERR_FILENO, name, strlen(name));
	(void)!write(STDERR_FILENO, " was called\n", 12);
	_exit(99);
}

void *malloc(size_t size)
{
	check_use("malloc");
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	check_use("calloc");
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	check_use("realloc");
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	check_use("aligned_alloc");
	return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
	check_use("memalign");
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	check_use("posix_memalign");
	*ret = __libc_memalign(alignment, size);
	return *ret ? 0 : ENOMEM;
}

void free(void *memory)
{
	check_use("free");
	__libc_free(memory);
}

// What markers take comes from the caller.
static _Alignas(16) uint8_t arena[4 << 20];
static size_t arena_used;

static void *WINAPI take_from_arena(void *context, DWORD size)
{
	size_t start = arena_used;

	(void)context;
	if (size > sizeof(arena) - start)
		return NULL;
	arena_used = (start + size + 15) & ~(size_t)15;
	return arena + start;
}

static void WINAPI leave_in_arena(void *context, void *memory)
{
	(void)context;
	(void)memory;
}

static volatile uint64_t witness = 0x1234567890abcdef;

static const PSS_ALLOCATOR allocator = { NULL, take_from_arena, leave_in_arena };

// 0, or the number of the line that went wrong. Nothing here may use the heap, asserts would.
static int walk_all(HPSS snapshot)
{
	static union any entry;
	HPSSWALK marker;
	DWORD code;

	arena_used = 0;
	if (PssWalkMarkerCreate(&allocator, &marker) != ERROR_SUCCESS)
		return __LINE__;
	for (int class = 0; class < WALK_CLASSES; class ++) {
		do
			code = PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker,
					       &entry, walk_lengths[class]);
		while (code == ERROR_SUCCESS);
		if (code != ERROR_NO_MORE_ITEMS &&
		    (class != PSS_WALK_AUXILIARY_PAGES || code != ERROR_NOT_FOUND))
			return __LINE__;
	}
	return PssWalkMarkerFree(marker) == ERROR_SUCCESS ? 0 : __LINE__;
}

static int query_all(HPSS snapshot)
{
	static union any entry;

	for (int class = 0; class < QUERY_CLASSES; class ++) {
		DWORD code = PssQuerySnapshot(snapshot, (PSS_QUERY_INFORMATION_CLASS) class, &entry,
					      query_lengths[class]);

		if (code != ERROR_SUCCESS && class != PSS_QUERY_AUXILIARY_PAGES_INFORMATION &&
		    class != PSS_QUERY_HANDLE_TRACE_INFORMATION)
			return __LINE__;
	}
	return 0;
}

// Captures and frees. @address holds @expected in the process, or 0: is not looked at.
static int use_everything(HANDLE process, const volatile void *address, uint64_t expected)
{
	PSS_VA_CLONE_INFORMATION clone;
	HPSS snapshot = NULL;
	uint64_t word = 0;
	int line;

	if (PssCaptureSnapshot(process, (PSS_CAPTURE_FLAGS)every_flag, CONTEXT_WANTED, &snapshot) !=
	    ERROR_SUCCESS)
		return __LINE__;
	line = query_all(snapshot);
	if (line == 0)
		line = walk_all(snapshot);
	if (line != 0)
		return line;
	if (PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &clone, sizeof(clone)) !=
	    ERROR_SUCCESS)
		return __LINE__;
	if (!ReadProcessMemory(clone.VaCloneHandle, (const void *)address, &word, sizeof(word),
			       NULL) ||
	    word != expected)
		return __LINE__;
	return PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS ? 0 : __LINE__;
}

static struct target *target;
static const void *pattern; // in the target. Neither is on the heap
static HANDLE target_process;

static int use_both(void)
{
	int line = use_everything(GetCurrentProcess(), &witness, witness);

	return line ? line : use_everything(target_process, pattern, 0x9e3779b97f4a7c15u);
}

static void no_malloc_between_capture_and_free(void **state)
{
	int line;

	(void)state;
	is_forbidden = true;
	line = use_both();
	is_forbidden = false;
	if (line)
		harness_fail("line %d: %s", line, PssxErrorText());
}

// Sizes, lists, free blocks and contents: all that the heap consists of becomes the same byte.
static void ruin_heap(void)
{
	char line[512];
	unsigned long start = 0, end = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "[heap]"))
			sscanf(line, "%lx-%lx", &start, &end);
	if (start == 0)
		_exit(98);
	// The stream stays open: closing it would use what comes now.
	memset((void *)start, 0x41, end - start);
}

// cmocka goes on with the next test after a crash, in a child too.
static void set_default_signals(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

static void a_ruined_heap_does_not_matter(void **state)
{
	pid_t child = harness_fork();
	int status, line;

	(void)state;
	if (child == 0) {
		set_default_signals();
		ruin_heap();
		is_forbidden = true;
		line = use_both();
		_exit(line > 255 ? 255 : line);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		harness_fail("status %#x", status);
}

// That the two tests before would have noticed.
static void a_heap_so_ruined_kills_who_uses_it(void **state)
{
	pid_t child = harness_fork();
	int status;

	(void)state;
	if (child == 0) {
		set_default_signals();
		ruin_heap();
		for (size_t size = 16; size < 1 << 20; size *= 2) {
			void *volatile memory = malloc(size);

			free(memory);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", NULL);
	pattern = (const void *)(uintptr_t)target_value(target, "pattern");
	target_process = target_handle(target);
	return 0;
}

static int stop_target(void **state)
{
	(void)state;
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_malloc_between_capture_and_free),
		cmocka_unit_test(a_ruined_heap_does_not_matter),
		cmocka_unit_test(a_heap_so_ruined_kills_who_uses_it),
	};

	harness_begin("test_no_heap");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
