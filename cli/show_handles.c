// SPDX-License-Identifier: LGPL-2.1-or-later
// Open descriptors of a snapshot.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "show.h"
#include "text.h"

enum { LIST_ROOM = 128 };

enum field {
	FIELD_FD,
	FIELD_TYPE,
	FIELD_ACCESS,
	FIELD_FLAGS,
	FIELD_POSITION,
	FIELD_COUNT_VALUE,
	FIELD_OPEN_FLAGS,
	FIELD_SIZE,
	FIELD_MODE,
	FIELD_INODE,
	FIELD_DEVICE,
	FIELD_MOUNT,
	FIELD_PID,
	FIELD_TID,
	FIELD_CAPTURED,
	FIELD_LINK,
	FIELD_NAME,
	FIELD_INFO,
	FIELD_COUNT,
};

static const struct pss_output_column columns[FIELD_COUNT] = {
	[FIELD_FD] = { "fd", "FD", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_TYPE] = { "type", "TYPE", PSS_OUTPUT_TEXT, 0 },
	[FIELD_ACCESS] = { "access", "ACCESS", PSS_OUTPUT_TEXT, PSS_OUTPUT_DROP },
	[FIELD_FLAGS] = { "flags", "FLAGS", PSS_OUTPUT_WORDS, PSS_OUTPUT_DROP },
	[FIELD_POSITION] = { "position", "POSITION", PSS_OUTPUT_NUMBER, PSS_OUTPUT_DROP },
	[FIELD_COUNT_VALUE] = { "count", "COUNT", PSS_OUTPUT_NUMBER, PSS_OUTPUT_DROP },
	[FIELD_OPEN_FLAGS] = { "open_flags", NULL, PSS_OUTPUT_ADDRESS, 0 },
	[FIELD_SIZE] = { "size_bytes", NULL, PSS_OUTPUT_SIZE, 0 },
	[FIELD_MODE] = { "mode", NULL, PSS_OUTPUT_ADDRESS, 0 },
	[FIELD_INODE] = { "inode", NULL, PSS_OUTPUT_NUMBER, 0 },
	[FIELD_DEVICE] = { "device", NULL, PSS_OUTPUT_TEXT, 0 },
	[FIELD_MOUNT] = { "mount_id", NULL, PSS_OUTPUT_NUMBER, 0 },
	[FIELD_PID] = { "pid", NULL, PSS_OUTPUT_SIGNED, 0 },
	[FIELD_TID] = { "tid", NULL, PSS_OUTPUT_SIGNED, 0 },
	[FIELD_CAPTURED] = { "captured", NULL, PSS_OUTPUT_TIME, 0 },
	[FIELD_LINK] = { "link", NULL, PSS_OUTPUT_TEXT, 0 },
	[FIELD_NAME] = { "name", "NAME", PSS_OUTPUT_TEXT, PSS_OUTPUT_CUT_LEFT },
	[FIELD_INFO] = { "fdinfo", NULL, PSS_OUTPUT_TEXT, 0 },
};

static const char *kind_word(PSSX_HANDLE_KIND kind)
{
	static const char *const words[] = {
		[PSSX_HANDLE_KIND_UNKNOWN] = "unknown",
		[PSSX_HANDLE_KIND_FILE] = "file",
		[PSSX_HANDLE_KIND_DIRECTORY] = "directory",
		[PSSX_HANDLE_KIND_PATH] = "path",
		[PSSX_HANDLE_KIND_PIPE] = "pipe",
		[PSSX_HANDLE_KIND_SOCKET] = "socket",
		[PSSX_HANDLE_KIND_DEVICE] = "device",
		[PSSX_HANDLE_KIND_EVENT] = "event",
		[PSSX_HANDLE_KIND_SEMAPHORE] = "semaphore",
		[PSSX_HANDLE_KIND_PROCESS] = "process",
		[PSSX_HANDLE_KIND_THREAD] = "thread",
		[PSSX_HANDLE_KIND_SECTION] = "section",
		[PSSX_HANDLE_KIND_TIMER] = "timer",
		[PSSX_HANDLE_KIND_SIGNAL] = "signal",
		[PSSX_HANDLE_KIND_EPOLL] = "epoll",
		[PSSX_HANDLE_KIND_INOTIFY] = "inotify",
		[PSSX_HANDLE_KIND_FANOTIFY] = "fanotify",
		[PSSX_HANDLE_KIND_IO_RING] = "io-ring",
		[PSSX_HANDLE_KIND_USERFAULT] = "userfault",
		[PSSX_HANDLE_KIND_BPF] = "bpf",
		[PSSX_HANDLE_KIND_PERF_EVENT] = "perf-event",
		[PSSX_HANDLE_KIND_DMA_BUFFER] = "dma-buffer",
		[PSSX_HANDLE_KIND_OTHER] = "other",
	};

	// A newer library may know more of them.
	if ((size_t)kind >= sizeof(words) / sizeof(words[0]))
		return "other";
	return words[kind];
}

static const char *access_word(uint32_t open_flags)
{
	if (open_flags & O_PATH)
		return "";
	switch (open_flags & O_ACCMODE) {
	case O_RDONLY:
		return "r";
	case O_WRONLY:
		return "w";
	default:
		return "rw";
	}
}

static void list_flags(const PSSX_HANDLE *handle, char list[LIST_ROOM])
{
	// O_SYNC has the bit of O_DSYNC and one more.
	static const struct {
		uint32_t mask;
		uint32_t value;
		const char *word;
	} words[] = {
		{ O_APPEND, O_APPEND, "append" },    { O_NONBLOCK, O_NONBLOCK, "nonblock" },
		{ O_ASYNC, O_ASYNC, "async" },       { O_DIRECT, O_DIRECT, "direct" },
		{ O_NOATIME, O_NOATIME, "noatime" }, { O_SYNC, O_SYNC, "sync" },
		{ O_SYNC, O_DSYNC, "dsync" },
	};
	int length = snprintf(list, LIST_ROOM, "%s%s",
			      handle->Flags & PSSX_HANDLE_CLOSE_ON_EXEC ? " cloexec" : "",
			      handle->Flags & PSSX_HANDLE_DELETED ? " deleted" : "");

	if (!(handle->Flags & PSSX_HANDLE_HAS_INFO))
		return;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((handle->OpenFlags & words[i].mask) == words[i].value)
			length += snprintf(list + length, LIST_ROOM - (size_t)length, " %s",
					   words[i].word);
}

// Everything has a position for the kernel; it means something where reading goes on from it.
static bool has_position(const PSSX_HANDLE *handle)
{
	return handle->Flags & PSSX_HANDLE_HAS_INFO && !(handle->OpenFlags & O_PATH) &&
	       (handle->Kind == PSSX_HANDLE_KIND_FILE || handle->Kind == PSSX_HANDLE_KIND_SECTION ||
		handle->Kind == PSSX_HANDLE_KIND_DIRECTORY);
}

static void add_known(const PSSX_HANDLE *handle, struct pss_output_value values[FIELD_COUNT])
{
	if (handle->Flags & PSSX_HANDLE_HAS_INFO) {
		values[FIELD_ACCESS] = pss_output_text(access_word(handle->OpenFlags));
		values[FIELD_OPEN_FLAGS] = pss_output_number(handle->OpenFlags);
		values[FIELD_MOUNT] = pss_output_number(handle->MountId);
	}
	if (has_position(handle))
		values[FIELD_POSITION] = pss_output_number(handle->Position);
	if (handle->Flags & PSSX_HANDLE_HAS_COUNT)
		values[FIELD_COUNT_VALUE] = pss_output_number(handle->Count);
	if (handle->Flags & PSSX_HANDLE_HAS_INODE) {
		values[FIELD_SIZE] = pss_output_number(handle->SizeBytes);
		values[FIELD_MODE] = pss_output_number(handle->Mode);
		values[FIELD_INODE] = pss_output_number(handle->Inode);
	}
	if (handle->Flags & PSSX_HANDLE_HAS_TASK) {
		values[FIELD_PID] = pss_output_number((uint64_t)handle->Pid);
		values[FIELD_TID] = pss_output_number((uint64_t)handle->Tid);
	}
}

static void add_handle(const PSSX_HANDLE *handle, const char *info, struct pss_output_table *table)
{
	char flags[LIST_ROOM];
	_cleanup_text_ char *device =
		pss_text_format("%u:%u", handle->DeviceMajor, handle->DeviceMinor);
	struct pss_output_value values[FIELD_COUNT] = {
		[FIELD_FD] = pss_output_number((uint64_t)handle->Descriptor),
		[FIELD_TYPE] = pss_output_text(kind_word(handle->Kind)),
		[FIELD_FLAGS] = pss_output_text(flags),
		[FIELD_CAPTURED] = pss_output_number(handle->CaptureTimeNs),
		[FIELD_LINK] = pss_output_text(handle->Link),
		[FIELD_NAME] = pss_output_text(*handle->Name ? handle->Name : handle->Link),
	};

	list_flags(handle, flags);
	add_known(handle, values);
	if (handle->Flags & PSSX_HANDLE_HAS_INODE)
		values[FIELD_DEVICE] = pss_output_text(device);
	if (info)
		values[FIELD_INFO] = pss_output_text(info);
	pss_output_table_add(table, values);
}

// What fdinfo said, to be freed; NULL if nothing is known.
static char *read_info(HPSS snapshot, DWORD index)
{
	SIZE_T length = 0;
	DWORD error = PssxQueryHandleInfo(snapshot, index, NULL, &length);
	char *info;

	if (error != ERROR_INSUFFICIENT_BUFFER)
		return NULL;
	info = malloc(length + 1);
	if (!info)
		pss_message_no_memory();
	if (PssxQueryHandleInfo(snapshot, index, info, &length) != ERROR_SUCCESS)
		length = 0;
	info[length] = '\0';
	return info;
}

int pss_show_handles(HPSS snapshot, struct pss_output *output)
{
	PSSX_HANDLE handle = { .Size = sizeof(handle) };
	struct pss_output_table table;
	DWORD error = ERROR_SUCCESS;

	pss_output_table_begin(output, "handles", columns, FIELD_COUNT, &table);
	for (DWORD i = 0; (error = PssxQueryHandle(snapshot, i, &handle)) == ERROR_SUCCESS; i++) {
		// Only programs get that.
		_cleanup_text_ char *info = output->root ? read_info(snapshot, i) : NULL;

		add_handle(&handle, info, &table);
	}
	pss_output_table_end(&table);
	return error == ERROR_NO_MORE_ITEMS ? PSS_STATUS_DONE : pss_message_library(NULL);
}
