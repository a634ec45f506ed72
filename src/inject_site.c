// SPDX-License-Identifier: LGPL-2.1-or-later
// The look at the target's address space before the stop: where its text has the two code sequences
// that an injection needs, and where the leader's stack is. Also tells whether a thread is fit.
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "procfs.h"
#include "section_format.h"

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4210
#endif
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

enum {
	CHUNK = 128 * 1024,
	// Text searched in one object; C libraries have both sequences in far less.
	SEARCH_LIMIT = 32 * 1024 * 1024,
};

static uint64_t find_in(const uint8_t *bytes, size_t size, const struct pss_arch_code *codes,
			size_t count)
{
	for (size_t i = 0; i < count && codes[i].size; i++) {
		const uint8_t *hit = memmem(bytes, size, codes[i].bytes, codes[i].size);

		if (hit)
			return (uint64_t)(hit - bytes);
	}
	return UINT64_MAX;
}

static void search_chunk(const struct pss_arch *arch, uint64_t address, const uint8_t *bytes,
			 size_t size, struct pss_inject_site *site)
{
	uint64_t at;

	if (!site->call_code) {
		at = find_in(bytes, size, arch->call_code,
			     sizeof arch->call_code / sizeof arch->call_code[0]);
		if (at != UINT64_MAX)
			site->call_code = address + at;
	}
	if (!site->return_code) {
		at = find_in(bytes, size, arch->return_code,
			     sizeof arch->return_code / sizeof arch->return_code[0]);
		if (at != UINT64_MAX)
			site->return_code = address + at;
	}
}

static bool is_complete(const struct pss_inject_site *site)
{
	return site->call_code && site->return_code;
}

static void search_mapping(int mem_fd, const struct pss_arch *arch,
			   const struct pss_procfs_map *map, struct pss_buf *chunk,
			   struct pss_inject_site *site)
{
	uint64_t end = map->end - map->start > SEARCH_LIMIT ? map->start + SEARCH_LIMIT : map->end;

	for (uint64_t address = map->start; address < end && !is_complete(site);) {
		size_t size = end - address < CHUNK ? end - address : CHUNK;
		ssize_t got = pread(mem_fd, chunk->data, size, (off_t)address);

		if (got <= 0)
			return;
		search_chunk(arch, address, chunk->data, (size_t)got, site);
		if ((size_t)got <= PSS_ARCH_CODE_SIZE_MAX)
			return;
		// Overlap, so that a sequence across two chunks is found.
		address += (uint64_t)got == end - address ? (uint64_t)got
							  : (uint64_t)got - PSS_ARCH_CODE_SIZE_MAX;
	}
}

// C libraries first: they are small and have what is looked for, and searching a large program
// would bring pages of its text into memory that it does not use itself.
static bool is_likely(struct pss_text path)
{
	const char *slash = memrchr(path.data, '/', path.size);
	struct pss_text name = path;

	if (slash) {
		name.data = slash + 1;
		name.size = path.size - (size_t)(name.data - path.data);
	}
	return name.size > 3 &&
	       (memcmp(name.data, "libc", 4) == 0 || memcmp(name.data, "ld-", 3) == 0);
}

static void search_text(int mem_fd, const struct pss_arch *arch, struct pss_text maps, bool likely,
			struct pss_buf *chunk, struct pss_inject_site *site)
{
	struct pss_procfs_map map;

	while (!is_complete(site) && pss_procfs_next_map(&maps, &map) == 0) {
		if ((map.protection & PSS_REGION_EXECUTE) && (map.protection & PSS_REGION_READ) &&
		    map.path.size && is_likely(map.path) == likely)
			search_mapping(mem_fd, arch, &map, chunk, site);
	}
}

static void find_stack(struct pss_text maps, struct pss_inject_site *site)
{
	static const char main_stack[] = "[stack]";
	struct pss_procfs_map map;
	uint64_t floor = 0;

	for (; pss_procfs_next_map(&maps, &map) == 0; floor = map.end) {
		if (map.path.size != sizeof main_stack - 1 ||
		    memcmp(map.path.data, main_stack, map.path.size) != 0)
			continue;
		site->stack_start = map.start;
		site->stack_end = map.end;
		site->stack_floor = floor;
	}
}

int pss_inject_survey(int proc_fd, int mem_fd, const struct pss_arch *arch, struct pss_diag *diag,
		      struct pss_inject_site *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf chunk = PSS_BUF_EMPTY;
	struct pss_inject_site site = PSS_INJECT_SITE_EMPTY;
	int r = pss_procfs_read(proc_fd, "maps", &text);

	if (r < 0)
		return pss_fail(diag, r, "cannot read the memory map of the target");
	struct pss_text maps = { (const char *)text.data, text.size };
	r = pss_buf_reserve(&chunk, CHUNK);
	if (r < 0)
		return pss_fail(diag, r, "cannot look through the text of the target");
	find_stack(maps, &site);
	search_text(mem_fd, arch, maps, true, &chunk, &site);
	search_text(mem_fd, arch, maps, false, &chunk, &site);
	if (!is_complete(&site))
		return pss_fail(diag, -ENOENT,
				"the target's text has no instructions to make a clone with");
	if (!site.stack_end)
		return pss_fail(diag, -EOPNOTSUPP,
				"the target has unmapped its [stack], and nowhere else is a place "
				"for the frames that lead its threads home");
	*ret = site;
	return 0;
}

static bool holds_one_of(int mem_fd, uint64_t address, const struct pss_arch_code *codes,
			 size_t count)
{
	uint8_t bytes[PSS_ARCH_CODE_SIZE_MAX];

	for (size_t i = 0; i < count && codes[i].size; i++)
		if (pread(mem_fd, bytes, codes[i].size, (off_t)address) == codes[i].size &&
		    memcmp(bytes, codes[i].bytes, codes[i].size) == 0)
			return true;
	return false;
}

int pss_inject_verify(const struct pss_inject_site *site, int mem_fd, const struct pss_arch *arch,
		      struct pss_diag *diag)
{
	if (holds_one_of(mem_fd, site->call_code, arch->call_code,
			 sizeof arch->call_code / sizeof arch->call_code[0]) &&
	    holds_one_of(mem_fd, site->return_code, arch->return_code,
			 sizeof arch->return_code / sizeof arch->return_code[0]))
		return 0;
	return pss_fail(diag, -EAGAIN, "the target has begun to execute another program meanwhile");
}

struct rseq_configuration {
	uint64_t area;
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

struct rseq_section {
	uint32_t version;
	uint32_t flags;
	uint64_t start;
	uint64_t length;
	uint64_t abort;
};

uint64_t pss_inject_rseq_area(pid_t tid, uint32_t *size_ret)
{
	struct rseq_configuration configuration;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof configuration, &configuration) < 0)
		return 0;
	*size_ret = configuration.size;
	return configuration.area;
}

// A thread inside a restartable sequence would go on in it unprotected, or have our instruction
// swallowed by the jump to its abort handler.
static bool is_in_sequence(const struct pss_tracee *tracee, const struct pss_tracee_thread *thread)
{
	enum { SECTION_POINTER_OFFSET = 8 };
	struct rseq_section section;
	uint64_t pointer;
	uint32_t size;
	uint64_t area = pss_inject_rseq_area(thread->tid, &size);

	if (!area)
		return false;
	if (pread(tracee->mem_fd, &pointer, sizeof pointer,
		  (off_t)(area + SECTION_POINTER_OFFSET)) != sizeof pointer)
		return true;
	if (!pointer)
		return false;
	if (pread(tracee->mem_fd, &section, sizeof section, (off_t)pointer) != sizeof section)
		return true;
	return tracee->arch->instruction_pointer(&thread->general) - section.start < section.length;
}

// A return that its shadow stack does not know of would be the thread's end.
static bool has_shadow_stack(const struct pss_tracee *tracee,
			     const struct pss_tracee_thread *thread)
{
	uint64_t pointer;
	struct iovec room = { &pointer, sizeof pointer };

	return tracee->arch->shadow_stack_note_type &&
	       ptrace(PTRACE_GETREGSET, thread->tid, tracee->arch->shadow_stack_note_type, &room) ==
		       0;
}

// Wine and others have the kernel turn system calls made outside a range into SIGSYS.
static bool dispatches_syscalls(const struct pss_tracee_thread *thread)
{
	struct {
		uint64_t mode;
		uint64_t selector;
		uint64_t offset;
		uint64_t length;
	} configuration = { 0 };

	// EIO before Linux 6.4, which can't tell.
	return ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, thread->tid, sizeof configuration,
		      &configuration) == 0 &&
	       configuration.mode != 0;
}

// The kernel's own workers on io_uring and the like are threads too, and never get to user mode.
static bool is_kernel_worker(const struct pss_tracee *tracee,
			     const struct pss_tracee_thread *thread)
{
	return tracee->arch->instruction_pointer(&thread->general) == 0;
}

bool pss_inject_is_fit(const struct pss_tracee *tracee, const struct pss_tracee_thread *thread,
		       const struct pss_inject_site *site, bool want_stack)
{
	uint64_t top;

	return thread->state == PSS_TRACEE_STOPPED && thread->has_registers &&
	       !tracee->arch->is_32bit(&thread->general) && !has_shadow_stack(tracee, thread) &&
	       !dispatches_syscalls(thread) && !is_kernel_worker(tracee, thread) &&
	       !is_in_sequence(tracee, thread) &&
	       pss_inject_find_room(tracee, thread, site, !want_stack, &top);
}
