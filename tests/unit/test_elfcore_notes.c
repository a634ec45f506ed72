// SPDX-License-Identifier: LGPL-2.1-or-later
// The notes of an ELF core, one by one, as libelf finds them: order, owners, types and contents.
#include "elfcore_notes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "fixture_core.h"

// One note after another, as libelf finds them.
struct note {
	GElf_Nhdr header;
	const char *owner;
	const uint8_t *bytes;
};

enum { NOTES_MAX = 32 };

static size_t read_notes(int fd, struct note *notes, Elf **elf_ret)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	GElf_Phdr segment;
	size_t count = 0, offset = 0, name, desc;

	assert_non_null(elf);
	assert_non_null(gelf_getphdr(elf, 0, &segment));
	Elf_Data *data =
		elf_getdata_rawchunk(elf, (int64_t)segment.p_offset, segment.p_filesz, ELF_T_NHDR);
	assert_non_null(data);
	while (count < NOTES_MAX) {
		struct note *note = &notes[count];

		offset = gelf_getnote(data, offset, &note->header, &name, &desc);
		if (offset == 0)
			break;
		note->owner = (const char *)data->d_buf + name;
		note->bytes = (const uint8_t *)data->d_buf + desc;
		count++;
	}
	*elf_ret = elf;
	return count;
}

static void check_note(const struct note *note, const char *owner, uint32_t type, size_t size)
{
	assert_string_equal(note->owner, owner);
	assert_int_equal(note->header.n_type, type);
	assert_int_equal(note->header.n_namesz, strlen(owner) + 1);
	if (size > 0)
		assert_int_equal(note->header.n_descsz, size);
}

static void check_status(const struct note *note, int tid)
{
	struct elf_prstatus status;

	check_note(note, "CORE", NT_PRSTATUS, 112 + GENERAL_SIZE + 8);
	memcpy(&status, note->bytes, 112);
	assert_int_equal(status.pr_pid, tid);
	assert_int_equal(status.pr_ppid, 1);
	assert_int_equal(status.pr_pgrp, 4700);
	assert_int_equal(status.pr_sid, 4600);
	assert_int_equal(status.pr_cursig, 0);
	assert_int_equal(status.pr_sighold, 0xabcdef);
	assert_int_equal(status.pr_utime.tv_sec, 1);
	assert_int_equal(status.pr_utime.tv_usec, 234567);
	assert_int_equal(note->bytes[112], (uint8_t)tid);
	assert_int_equal(note->bytes[112 + GENERAL_SIZE], 1); // there are floating-point registers
}

static void check_process(const struct note *note)
{
	struct elf_prpsinfo info;

	check_note(note, "CORE", NT_PRPSINFO, sizeof info);
	memcpy(&info, note->bytes, sizeof info);
	assert_int_equal(info.pr_pid, PID);
	assert_int_equal(info.pr_uid, 1000);
	assert_int_equal(info.pr_sname, 'S');
	assert_int_equal(info.pr_state, 1);
	assert_string_equal(info.pr_fname, "target");
	assert_string_equal(info.pr_psargs, "/usr/bin/target --option value");
}

static void check_files(const struct note *note)
{
	uint64_t head[5];

	check_note(note, "CORE", NT_FILE, 0);
	memcpy(head, note->bytes, sizeof head);
	assert_int_equal(head[0], 1);
	assert_int_equal(head[1], PAGE);
	assert_int_equal(head[3] - head[2], 4 * PAGE);
	assert_int_equal(head[4], 3);
	assert_string_equal((const char *)note->bytes + sizeof head, "/usr/bin/ta rget\n");
	assert_int_equal(note->header.n_descsz, sizeof head + sizeof "/usr/bin/ta rget\n");
}

static void test_notes(void **state)
{
	(void)state;
	struct core_fixture fixture;
	struct note notes[NOTES_MAX];
	Elf *elf;

	core_setup(&fixture, 8 * PAGE);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, 4 * PAGE),
						    .file_offset = 3 * PAGE,
						    .kind = PSS_REGION_MAPPED,
						    .content = PSS_CONTENT_EXCLUDED },
			"/usr/bin/ta rget\n");
	core_add_thread(&fixture, PID, PSS_THREAD_HAS_REGISTERS);
	core_add_thread(&fixture, TID, PSS_THREAD_HAS_REGISTERS | PSS_THREAD_CALLER);
	core_add_thread(&fixture, TID + 1, PSS_THREAD_TERMINATED);
	core_add_thread(&fixture, TID + 2, PSS_THREAD_UNSTOPPABLE);
	core_seal(&fixture);
	_cleanup_close_ int fd = core_write_file(&fixture);
	assert_int_equal(fixture.result.threads, 3);

	size_t count = read_notes(fd, notes, &elf);
	assert_int_equal(count, 10);
	check_status(&notes[0], TID);
	check_process(&notes[1]);
	check_note(&notes[2], "CORE", NT_SIGINFO, 128);
	for (int i = 0; i < 128; i++)
		assert_int_equal(notes[2].bytes[i], 0);
	// The tag that came twice is there once.
	check_note(&notes[3], "CORE", NT_AUXV, 3 * sizeof(Elf64_auxv_t));
	check_files(&notes[4]);
	check_note(&notes[5], "CORE", NT_PRFPREG, FLOATING_SIZE);
	check_status(&notes[6], PID);
	check_note(&notes[7], "CORE", NT_PRFPREG, FLOATING_SIZE);
	check_note(&notes[8], "CORE", NT_PRSTATUS, 112 + GENERAL_SIZE + 8);
	assert_int_equal(notes[8].bytes[112], 0);
	check_note(&notes[9], PSS_ELFCORE_NOTE_OWNER, PSS_ELFCORE_NOTE_TYPE, 0);
	char manifest[512] = { 0 };
	assert_true(notes[9].header.n_descsz < sizeof manifest);
	memcpy(manifest, notes[9].bytes, notes[9].header.n_descsz);
	assert_non_null(strstr(manifest, "kind live-snapshot\n"));
	assert_non_null(strstr(manifest, " excluded\n"));
	assert_non_null(strstr(manifest, "thread 4714 registers-unknown\n"));
	(void)elf_end(elf);
	core_teardown(&fixture);
}

static void test_no_threads(void **state)
{
	(void)state;
	struct core_fixture fixture;
	struct note notes[NOTES_MAX];
	Elf *elf;

	core_setup(&fixture, PAGE);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, PAGE) },
			NULL);
	core_seal(&fixture);
	_cleanup_close_ int fd = core_write_file(&fixture);
	assert_int_equal(fixture.result.threads, 0);
	assert_int_equal(read_notes(fd, notes, &elf), 3); // process, auxv, ours
	check_process(&notes[0]);
	(void)elf_end(elf);
	core_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_no_threads),
	};

	(void)elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
