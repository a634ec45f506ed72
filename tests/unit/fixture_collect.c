// SPDX-License-Identifier: LGPL-2.1-or-later
// See fixture_collect.h.
#include "fixture_collect.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture *fixture_create(pid_t pid)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->section_fd = -EBADF;
	assert_int_equal(pss_procfs_open(pid, &fixture->proc_fd), 0);
	fixture->builder.machine = EM_X86_64;
	fixture->context = (struct pss_collect){
		.pid = pid,
		.proc_fd = fixture->proc_fd,
		.space_fd = fixture->proc_fd,
		.section = &fixture->builder,
		.scratch = &fixture->scratch,
		.diag = &fixture->diag,
	};
	return fixture;
}

void fixture_destroy(struct fixture **fixture)
{
	pss_section_close(&(*fixture)->section);
	pss_close((*fixture)->section_fd);
	pss_section_builder_deinit(&(*fixture)->builder);
	pss_buf_deinit(&(*fixture)->scratch);
	pss_close((*fixture)->proc_fd);
	free(*fixture);
}

const struct pss_section *sealed(struct fixture *fixture)
{
	// A section has a process record, whatever else was collected.
	if (fixture->builder.parts[PSS_PART_PROCESS].size == 0)
		assert_int_equal(pss_collect_process(&fixture->context, 0), 0);
	assert_int_equal(pss_section_seal(&fixture->builder, &fixture->diag, &fixture->section_fd),
			 0);
	assert_int_equal(pss_section_open(fixture->section_fd, &fixture->section), 0);
	return &fixture->section;
}

void assert_bytes(const struct pss_section *section, struct pss_bytes_ref ref, const void *bytes,
		  size_t size)
{
	const void *found;

	assert_int_equal(ref.size, size);
	assert_int_equal(pss_section_bytes(section, ref, &found), 0);
	assert_memory_equal(found, bytes, size);
}

// It leads to the list of objects, whose first one is this program. (&_r_debug itself may be a
// copy.)
void assert_debug_address(const struct pss_process_record *process)
{
	const struct r_debug *debug = (const void *)(uintptr_t)process->debug_address;

	assert_non_null(debug);
	assert_true(debug->r_version >= 1);
	assert_ptr_equal(debug->r_map->l_ld, _DYNAMIC);
}

pid_t make_child(void (*prepare)(void))
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (prepare)
			prepare();
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

void end_child(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}
