// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of /proc: files read whole under one directory descriptor, then parsed by pure functions
// of (bytes, length). No ptrace, no policy. Unknown lines and appended fields are skipped.
#ifndef PSS_PROCFS_H
#define PSS_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cleanup.h"

/** Opens /proc/@pid. -ESRCH if there is no such process. The caller owns *fd_ret. */
int pss_procfs_open(pid_t pid, int *fd_ret);

/**
 * Replaces the contents of @buf by the whole file @path under @dir_fd, a /proc/PID, or of an
 * absolute @path. -ESRCH if the process has gone; -ENOENT if it is there and has no such file
 * (which is what a thread that has gone looks like); -EACCES, -EPERM, -ENOMEM.
 */
int pss_procfs_read(int dir_fd, const char *path, struct pss_buf *buf);

/** Replaces the contents of @buf by the target of a symbolic link, not terminated. */
int pss_procfs_read_link(int dir_fd, const char *path, struct pss_buf *buf);

/** Lists the numeric entries of @path (task, fd) under @dir_fd as int32_t into @buf, replacing it.
 */
int pss_procfs_list(int dir_fd, const char *path, struct pss_buf *buf);

/** A piece of text inside a buffer; not terminated. */
struct pss_text {
	const char *data;
	size_t size;
};

/** /proc/PID/stat. Ticks are of sysconf(_SC_CLK_TCK) and, start_ticks, since boot. */
struct pss_procfs_stat {
	int32_t pid;
	char state;
	uint8_t comm_size;
	char comm[64]; /**< may hold anything but NUL; comm_size bytes, cut there */
	int32_t parent_pid;
	int32_t process_group;
	int32_t session;
	uint64_t minor_faults;
	uint64_t major_faults;
	uint64_t user_ticks;
	uint64_t kernel_ticks;
	int32_t nice;
	uint32_t thread_count;
	uint64_t start_ticks;
	int32_t exit_signal;
	uint32_t rt_priority;
	uint32_t policy;
	int32_t exit_code; /**< 0 if hidden from us */
};

/** -EBADMSG if the text is not of that form. */
int pss_procfs_parse_stat(const char *text, size_t size, struct pss_procfs_stat *ret);

/**
 * Reads and parses @path under @dir_fd: "stat", "task/TID/stat" or an absolute path. @scratch loses
 * its contents; NULL: a buffer is made. Errors of pss_procfs_read(), -EBADMSG.
 */
int pss_procfs_read_stat(int dir_fd, const char *path, struct pss_buf *scratch,
			 struct pss_procfs_stat *ret);

/**
 * Bytes of address space of the process of @dir_fd, a /proc/PID: what it has mapped. @scratch as
 * above.
 */
int pss_procfs_read_space_size(int dir_fd, struct pss_buf *scratch, uint64_t *bytes_ret);

/**
 * Whether the process of @dir_fd, a /proc/PID, is dead or about to be: it has given up its memory,
 * and with it the link to its program; its descriptors go after that. Kernel threads look the same.
 */
bool pss_procfs_is_dying(int dir_fd);

/** /proc/PID/status; sizes in bytes, 0 where the line is missing (kernel threads, zombies). */
struct pss_procfs_status {
	int32_t thread_group_id;
	int32_t tracer_pid;
	uint32_t uid; /**< effective */
	uint32_t gid;
	int32_t innermost_pid; /**< last number of NSpid: the pid in its own namespace */
	uint32_t thread_count; /**< Threads, those that have ended among them until reaped */
	uint64_t vm_peak;
	uint64_t vm_size;
	uint64_t vm_hwm;
	uint64_t vm_rss;
	uint64_t rss_anon;
	uint64_t vm_swap;
	uint64_t vm_pte;
	uint64_t vm_pin;
	uint64_t signals_pending; /**< SigPnd: of the thread */
	uint64_t signals_blocked;
	uint64_t signals_ignored;
	uint64_t signals_caught;
	uint32_t seccomp_mode; /**< 0 off, 1 strict, 2 filter */
	uint64_t capabilities_effective;
};

int pss_procfs_parse_status(const char *text, size_t size, struct pss_procfs_status *ret);

/** One line of maps, or of smaps with what follows it. The path is still escaped. */
struct pss_procfs_map {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	uint32_t device_major;
	uint32_t device_minor;
	uint32_t protection; /**< enum pss_region_protection */
	bool is_shared;
	bool has_vm_flags;       /**< smaps only */
	bool has_resident;       /**< smaps only */
	uint32_t region_flags;   /**< enum pss_region_flag, from VmFlags */
	uint64_t resident_bytes; /**< present and swapped pages, the zero page not counted */
	struct pss_text path;    /**< within the text given; " (deleted)" still there */
};

/**
 * Takes the next mapping off the front of *cursor (a whole maps or smaps text at first). -ENODATA
 * at the end, -EBADMSG if a line is not of the known form.
 */
int pss_procfs_next_map(struct pss_text *cursor, struct pss_procfs_map *ret);

/**
 * A maps or smaps file read piece by piece, so that memory does not grow with it: 60,000 mappings
 * make 45 MB of smaps. Starts as PSS_PROCFS_MAPS_EMPTY.
 */
struct pss_procfs_maps {
	int fd;
	bool is_at_end;      /**< nothing more to read from fd */
	size_t position;     /**< within *buf: everything before it has been given out */
	struct pss_buf *buf; /**< borrowed: what was read */
};

#define PSS_PROCFS_MAPS_EMPTY ((struct pss_procfs_maps){ .fd = -EBADF })

/**
 * Opens "maps" or "smaps" under @dir_fd. @buf is borrowed until pss_procfs_maps_close(); what it
 * held is lost. Errors as pss_procfs_read().
 */
int pss_procfs_maps_open(int dir_fd, const char *path, struct pss_buf *buf,
			 struct pss_procfs_maps *ret);

void pss_procfs_maps_close(struct pss_procfs_maps *maps);

#define _cleanup_maps_ _cleanup_(pss_procfs_maps_close)

/** The next mapping; its path is good until the next call. -ENODATA at the end, -EBADMSG. */
int pss_procfs_maps_next(struct pss_procfs_maps *maps, struct pss_procfs_map *ret);

/**
 * Undoes the escapes of @path into @out, which has room for path.size bytes and may be path.data
 * itself; returns the size. The kernel escapes nothing but the newline here, not even the
 * backslash.
 */
size_t pss_procfs_unescape(struct pss_text path, char *out);

/** /proc/PID/task/TID/syscall. */
struct pss_procfs_syscall {
	bool is_running; /**< the file says "running": nothing else is known */
	int64_t number;  /**< -1: blocked, but in no system call; arguments are 0 then */
	uint64_t arguments[6];
	uint64_t stack_pointer;
	uint64_t instruction_pointer;
};

int pss_procfs_parse_syscall(const char *text, size_t size, struct pss_procfs_syscall *ret);

/** First number of /proc/PID/task/TID/schedstat: nanoseconds on a CPU. */
int pss_procfs_parse_schedstat(const char *text, size_t size, uint64_t *run_ns_ret);

/** A file that holds one number in base 10 or 16, or, if @base is 0, with 0x or decimal. */
int pss_procfs_parse_number(const char *text, size_t size, unsigned base, uint64_t *ret);

/** The value of "Pid:" in the fdinfo of a pidfd: -1 if the process is gone or not in our namespace.
 */
int pss_procfs_parse_fdinfo_pid(const char *text, size_t size, int32_t *ret);

/** "btime" of /proc/stat: when the machine booted, seconds since 1970. */
int pss_procfs_parse_boot_time(const char *text, size_t size, uint64_t *seconds_ret);

/**
 * The value of "btime" without reading /proc/stat if it can be had for certain from the clocks:
 * that file lists every interrupt and CPU. The same at each call until somebody sets the clock.
 * @scratch loses its contents.
 */
int pss_procfs_boot_time(struct pss_buf *scratch, uint64_t *seconds_ret);

/**
 * Process of a pidfd as our namespace counts, from /proc/self/fdinfo. -ESRCH if it is gone or not
 * in our namespace, -EBADF if @pidfd is no pidfd.
 */
int pss_procfs_pid_of_pidfd(int pidfd, pid_t *ret);

#endif
