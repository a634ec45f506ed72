// SPDX-License-Identifier: LGPL-2.1-or-later
// A callback of MiniDumpWriteDump that answers by a script and counts its questions, and dumps that
// are read back and checked as soon as they are written.
#ifndef PSS_TESTS_MINIDUMP_SCRIPT_H
#define PSS_TESTS_MINIDUMP_SCRIPT_H

#include <dbghelp.h>

#include "../unit/minidump_reader.h"
#include "conformance.h"

enum { QUESTIONS = VmPostReadCallback + 1, PAGE = 4096, IO_ROOM = 64 << 20 };

/** The target of these tests. */
extern struct target *target;

// A callback's script, and what it was asked.
struct script {
	unsigned asked[QUESTIONS];
	HANDLE process;
	bool is_of_x86;   // knows nothing of ThreadExCallback, and says FALSE to it
	ULONG process_id; // of the last ordinary question
	HRESULT is_snapshot;
	HRESULT vm_start;
	HRESULT io_start;
	HRESULT read_failure;
	ULONG excluded_thread;
	ULONG64 excluded_module;
	BOOL cancels;
	ULONG64 memory, removed, region; // pages
	ULONG64 patched; // an address whose word is replaced before or after reading
	BOOL patches_after;
	uint8_t *io;
	size_t io_size;
	bool is_io_finished;
};

/** One that calls @process a snapshot and changes nothing. */
struct script plain_script(HANDLE process);

// A dump that a call has written.
struct written {
	struct minidump dump;
	int fd;
	BOOL result;
	DWORD error;
};

/** Calls MiniDumpWriteDump; without a script, without a callback. */
struct written write_with(HANDLE process, uint32_t type, struct script *script,
			  MINIDUMP_EXCEPTION_INFORMATION *exception,
			  MINIDUMP_USER_STREAM_INFORMATION *streams);
void forget(struct written *written);

#define _cleanup_written_ __attribute__((cleanup(forget)))

/** It succeeded, and left the last error alone. */
void assert_written(const struct written *written);

/** It failed with that HRESULT, and a text. */
void assert_failed(const struct written *written, uint32_t result);

/** As dump writers ask for it: without PSS_CAPTURE_VA_SPACE. */
HPSS capture_as_documented(uint32_t without);

/** Group setup and teardown: a target, which is unharmed in the end. */
int start_target(void **state);
int stop_target(void **state);

#endif
