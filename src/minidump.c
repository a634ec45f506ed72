// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes a minidump: asks, chooses, lays out, writes. What can still go wrong once the first byte is
// written is I/O, the clone's death, pages that cannot be read, and the callback's wish to end.
#include "minidump.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "memory_pour.h"
#include "minidump_streams.h"

// What every dump has, and what it takes for the rest, in the order of the file.
static const struct stream {
	uint32_t type;
	uint64_t needed; // one of these flags; 0: always
	int (*put)(struct pss_minidump *dump);
} streams[] = {
	{ SystemInfoStream, 0, pss_minidump_put_system },
	{ MiscInfoStream, 0, pss_minidump_put_misc },
	{ ExceptionStream, 0, pss_minidump_put_exception },
	{ ThreadListStream, 0, pss_minidump_put_threads },
	{ ThreadNamesStream, 0, pss_minidump_put_thread_names },
	{ ThreadInfoListStream, MiniDumpWithThreadInfo, pss_minidump_put_thread_info },
	{ ModuleListStream, 0, pss_minidump_put_modules },
	{ MemoryInfoListStream, MiniDumpWithFullMemoryInfo, pss_minidump_put_memory_info },
	{ HandleDataStream, MiniDumpWithHandleData, pss_minidump_put_handles },
	{ ProcessVmCountersStream, MiniDumpWithProcessThreadData, pss_minidump_put_vm_counters },
	{ MemoryListStream, 0, pss_minidump_put_memory },
	{ Memory64ListStream, 0, pss_minidump_put_memory64 },
};

// Breakpad's and a remark: what MiniDumpWithoutOptionalData leaves out.
static const struct stream optional_streams[] = {
	{ CommentStreamA, 0, pss_minidump_put_comment },
	{ PSS_MINIDUMP_LINUX_CPU_INFO, 0, pss_minidump_put_cpu_info },
	{ PSS_MINIDUMP_LINUX_PROC_STATUS, 0, pss_minidump_put_proc_status },
	{ PSS_MINIDUMP_LINUX_CMD_LINE, 0, pss_minidump_put_cmd_line },
	{ PSS_MINIDUMP_LINUX_AUXV, 0, pss_minidump_put_auxv },
	{ PSS_MINIDUMP_LINUX_MAPS, 0, pss_minidump_put_maps },
	{ PSS_MINIDUMP_LINUX_DSO_DEBUG, 0, pss_minidump_put_dso_debug },
};

static const struct stream environment_stream = {
	PSS_MINIDUMP_LINUX_ENVIRON,
	0,
	pss_minidump_put_environ,
};

enum {
	STREAMS_MOST = sizeof streams / sizeof streams[0] +
		       sizeof optional_streams / sizeof optional_streams[0] + 1,
	USER_STREAMS_MOST = 4096,
};

// What the tables may take: more than any snapshot needs that was made by a capture, of which a
// thread without registers takes seven times its record. One that somebody made up may have each
// of its records lead to the same long text.
#define TABLES_LEAST      (UINT64_C(16) << 20)
#define TABLES_PER_BYTE   8
#define TICKS_PER_SECOND  UINT64_C(10000000)
#define TICKS_BEFORE_1970 UINT64_C(116444736000000000)

// The top of the main thread's stack holds the environment, and with it passwords and keys.
static void hide(const struct pss_minidump *dump, uint64_t address, uint8_t *bytes, size_t size)
{
	uint64_t start = address > dump->hidden_start ? address : dump->hidden_start;
	uint64_t end = address + size < dump->hidden_end ? address + size : dump->hidden_end;

	if (start < end)
		memset(bytes + (start - address), 0, end - start);
}

int pss_minidump_read(void *context, uint64_t address, void *buffer, size_t size, size_t *done_ret)
{
	struct pss_minidump *dump = context;

	if (pss_minidump_ask_pre_read(dump->ask, address, buffer, size, done_ret))
		return *done_ret < size ? -EFAULT : 0;
	int r = pss_memory_read(dump->memory, address, buffer, size, done_ret);
	if (r != 0 && r != -EFAULT)
		return r;
	hide(dump, address, buffer, *done_ret);
	pss_minidump_ask_post_read(dump->ask, address, buffer, size, *done_ret, r);
	return r;
}

static void dump_deinit(struct pss_minidump *dump)
{
	pss_buf_deinit(&dump->threads);
	pss_buf_deinit(&dump->modules);
	pss_minidump_plan_deinit(&dump->plan);
	pss_minidump_layout_deinit(&dump->layout);
}

static RVA directory_at(uint32_t index)
{
	return (RVA)(sizeof(MINIDUMP_HEADER) + index * sizeof(MINIDUMP_DIRECTORY));
}

static void enter(struct pss_minidump *dump, uint32_t type, uint32_t *count)
{
	const MINIDUMP_DIRECTORY entry = { .StreamType = type, .Location = dump->stream };

	pss_minidump_layout_set(&dump->layout, directory_at((*count)++), &entry, sizeof entry);
}

// Whether the caller has a stream of that kind: some readers refuse a file with two.
static bool is_given(const struct pss_minidump *dump, uint32_t type)
{
	const MINIDUMP_USER_STREAM_INFORMATION *user = dump->options->user_streams;

	for (ULONG i = 0; user && i < user->UserStreamCount; i++)
		if (user->UserStreamArray[i].Type == type)
			return true;
	return false;
}

static int put_stream(struct pss_minidump *dump, const struct stream *stream, uint32_t *count)
{
	if ((stream->needed && !pss_minidump_has(dump, stream->needed)) ||
	    is_given(dump, stream->type))
		return 0;
	int r = stream->put(dump);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = dump->layout.error;
	if (r == 0)
		enter(dump, stream->type, count);
	return r;
}

static int put_user_streams(struct pss_minidump *dump, uint32_t *count)
{
	const MINIDUMP_USER_STREAM_INFORMATION *user = dump->options->user_streams;

	for (ULONG i = 0; user && i < user->UserStreamCount; i++) {
		const MINIDUMP_USER_STREAM *stream = &user->UserStreamArray[i];
		RVA at = pss_minidump_layout_put(&dump->layout, stream->Buffer, stream->BufferSize);

		dump->stream = pss_minidump_layout_since(&dump->layout, at);
		enter(dump, stream->Type, count);
	}
	return dump->layout.error;
}

static int put_streams(struct pss_minidump *dump, uint32_t *count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof streams / sizeof streams[0]; i++)
		r = put_stream(dump, &streams[i], count);
	for (size_t i = 0; r == 0 && i < sizeof optional_streams / sizeof optional_streams[0]; i++)
		if (!pss_minidump_has(dump, MiniDumpWithoutOptionalData))
			r = put_stream(dump, &optional_streams[i], count);
	if (r == 0 && dump->options->has_environment)
		r = put_stream(dump, &environment_stream, count);
	return r == 0 ? put_user_streams(dump, count) : r;
}

static void put_header(struct pss_minidump *dump, uint32_t count)
{
	uint64_t captured = pss_section_process(dump->section)->capture_time;
	const MINIDUMP_HEADER header = {
		.Signature = MINIDUMP_SIGNATURE,
		.Version = MINIDUMP_VERSION,
		.NumberOfStreams = count,
		.StreamDirectoryRva = directory_at(0),
		.TimeDateStamp =
			captured > TICKS_BEFORE_1970
				? (ULONG32)((captured - TICKS_BEFORE_1970) / TICKS_PER_SECOND)
				: 0,
		.Flags = dump->options->type,
	};

	pss_minidump_layout_set(&dump->layout, 0, &header, sizeof header);
}

// Before anything is laid out: what it can come to, judged by what there is to tell.
static uint64_t tables_most(const struct pss_minidump *dump)
{
	const MINIDUMP_USER_STREAM_INFORMATION *user = dump->options->user_streams;
	const struct pss_minidump_plan *plan = &dump->plan;
	uint64_t ranges = (uint64_t)plan->near.count + plan->far.count;
	uint64_t most = TABLES_LEAST + TABLES_PER_BYTE * (uint64_t)dump->section->size;

	most += ranges *
		(sizeof(MINIDUMP_MEMORY_DESCRIPTOR) + sizeof(MINIDUMP_MEMORY_DESCRIPTOR64));
	for (ULONG i = 0; user && i < user->UserStreamCount; i++)
		most += user->UserStreamArray[i].BufferSize;
	return most < PSS_MINIDUMP_LAYOUT_MOST ? most : PSS_MINIDUMP_LAYOUT_MOST;
}

// Everything before the memory, with the positions of what lies in the memory.
static int lay_out(struct pss_minidump *dump, uint32_t *count_ret)
{
	const MINIDUMP_USER_STREAM_INFORMATION *user = dump->options->user_streams;
	uint32_t room = STREAMS_MOST + (user ? user->UserStreamCount : 0), count = 0;

	dump->layout.most = tables_most(dump);
	(void)pss_minidump_layout_put(&dump->layout, NULL, directory_at(room));
	int r = put_streams(dump, &count);
	if (r < 0)
		return r;
	put_header(dump, count);
	r = pss_buf_align(&dump->layout.bytes, dump->page_size);
	if (r < 0)
		return r;
	uint64_t base = dump->layout.bytes.size;
	if (dump->base_field)
		pss_minidump_layout_set(&dump->layout, dump->base_field, &base, sizeof base);
	*count_ret = count;
	return pss_minidump_layout_settle(&dump->layout, base);
}

static int choose(struct pss_minidump *dump)
{
	int r = pss_minidump_threads_choose(dump);

	if (r == 0)
		r = pss_minidump_modules_choose(dump);
	return r < 0 ? r : pss_minidump_plan_make(dump);
}

// What a pour tells on its way: to the callback first, then to the caller.
static int on_progress(void *context, uint64_t done, uint64_t total)
{
	struct pss_minidump *dump = context;
	const struct pss_memory_hooks *hooks = &dump->options->hooks;

	if (pss_minidump_ask_cancel(dump->ask) < 0)
		return 1;
	return hooks->progress ? hooks->progress(hooks->progress_context, done, total) : 0;
}

static int on_unreadable(void *context, uint64_t address, uint64_t size)
{
	struct pss_minidump *dump = context;
	int r = pss_minidump_ask_unreadable(dump->ask, address, size);

	return r < 0 ? pss_fail(dump->diag, r, "cannot read the memory at %#llx",
				(unsigned long long)address)
		     : 0;
}

static int pour_ranges(struct pss_memory_pour *pour, const struct pss_minidump_ranges *ranges,
		       uint64_t base)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < ranges->count; i++) {
		const struct pss_memory_segment *segment = pss_minidump_ranges_at(ranges, i);

		assert(pour->sink->position == base + segment->offset);
		r = pss_memory_pour_segment(pour, segment);
	}
	return r;
}

static int pour_all(struct pss_minidump *dump, struct pss_sink *sink,
		    struct pss_minidump_result *result)
{
	// Reads that nobody has a part in may be made ahead, by another thread.
	bool is_read_by_us = dump->ask->has_vm || dump->hidden_start < dump->hidden_end;
	struct pss_memory_hooks near = {
		.progress = on_progress,
		.progress_context = dump,
		.read = is_read_by_us ? pss_minidump_read : NULL,
		.unreadable = on_unreadable,
		.read_context = dump,
	};
	struct pss_memory_hooks far = near;
	_cleanup_(pss_memory_pour_end) struct pss_memory_pour pour = {
		.section = dump->section,
		.memory = dump->memory,
		.hooks = &near,
		.what = "minidump",
		.sink = sink,
		.diag = dump->diag,
		.total = dump->plan.memory_bytes,
	};

	// Told in the order of addresses: what comes first is not.
	far.written = dump->options->hooks.written;
	far.written_context = dump->options->hooks.written_context;
	uint64_t base = dump->layout.bytes.size;
	int r = pss_memory_pour_begin(&pour);
	if (r == 0)
		r = pour_ranges(&pour, &dump->plan.near, base);
	pour.hooks = &far;
	if (r == 0)
		r = pour_ranges(&pour, &dump->plan.far, base);
	result->unreadable_bytes = pour.unreadable;
	result->memory_bytes = pour.done - pour.unreadable;
	return r == 0 ? pss_memory_pour_finish(&pour) : r;
}

static int check_options(const struct pss_minidump *dump)
{
	const MINIDUMP_USER_STREAM_INFORMATION *user = dump->options->user_streams;

	if (pss_section_process(dump->section)->flags & PSS_PROCESS_32BIT)
		return pss_fail(dump->diag, -EOPNOTSUPP,
				"cannot write a minidump of a 32-bit process");
	if (user && user->UserStreamCount > USER_STREAMS_MOST)
		return pss_fail(dump->diag, -EINVAL, "there are %u streams of the caller's",
				user->UserStreamCount);
	return 0;
}

int pss_minidump_write(const struct pss_section *section, const struct pss_memory *memory,
		       const struct pss_minidump_options *options, struct pss_sink *sink,
		       struct pss_diag *diag, struct pss_minidump_result *ret)
{
	_cleanup_(dump_deinit) struct pss_minidump dump = {
		.section = section,
		.memory = memory,
		.options = options,
		.ask = options->ask,
		.diag = diag,
		.page_size = pss_section_header(section)->page_size,
		.plan = PSS_MINIDUMP_PLAN_EMPTY,
		.layout = PSS_MINIDUMP_LAYOUT_EMPTY,
	};
	struct pss_minidump_result result = { 0 };

	int r = check_options(&dump);
	if (r == 0)
		r = pss_minidump_hide_environment(&dump);
	if (r == 0)
		r = choose(&dump);
	if (r == 0)
		r = lay_out(&dump, &result.streams);
	if (r < 0)
		return pss_fail(diag, r, "cannot lay out the minidump");
	r = pss_sink_write(sink, dump.layout.bytes.data, dump.layout.bytes.size);
	if (r == 0)
		r = pour_all(&dump, sink, &result);
	if (r == 0)
		r = pss_sink_finish(sink);
	if (r < 0)
		return r;
	result.file_size = dump.layout.bytes.size + dump.plan.size;
	result.ranges = dump.plan.near.count + dump.plan.far.count;
	result.threads = dump.thread_count;
	result.modules = dump.module_count;
	*ret = result;
	return 0;
}
