// SPDX-License-Identifier: LGPL-2.1-or-later
// The section, byte by byte: what an HPSS descriptor holds. Fixed-width records, offsets from the
// start, no pointers: an image means the same wherever it is mapped. Values are Linux's own, as the
// kernel gave them; Windows' structures are made from them by query.c and walk.c.
#ifndef PSS_SECTION_FORMAT_H
#define PSS_SECTION_FORMAT_H

#include <assert.h>
#include <stdint.h>

enum {
	PSS_SECTION_VERSION = 2,
	PSS_SECTION_ALIGNMENT = 16,
};

/** First eight bytes of every section. */
#define PSS_SECTION_MAGIC "PSSDLNX\n"

/** The parts of a section. A part that was not captured has count 0 and size 0. */
enum pss_part {
	PSS_PART_PROCESS,   /**< one struct pss_process_record */
	PSS_PART_CLONE,     /**< one struct pss_clone_record, or none */
	PSS_PART_FIGURES,   /**< one struct pss_figures_record */
	PSS_PART_THREADS,   /**< struct pss_thread_record, in order of capture */
	PSS_PART_REGIONS,   /**< struct pss_region_record, by address */
	PSS_PART_HANDLES,   /**< struct pss_handle_record, by number */
	PSS_PART_AUX_PAGES, /**< struct pss_aux_page_record, in order of capture */
	PSS_PART_PATCHES,   /**< struct pss_patch_record: bytes that stood where we wrote */
	PSS_PART_AUXV,      /**< the auxiliary vector, bytes as /proc/PID/auxv gives them */
	PSS_PART_REGISTERS, /**< chains of struct pss_regset_record, one chain a thread */
	PSS_PART_BYTES,     /**< names, paths, command line, saved bytes; see pss_bytes_ref */
	PSS_PART_COUNT,
};

/** Where a part lies. For parts that are bytes, record_size is 1 and count is the size. */
struct pss_section_part {
	uint64_t offset;
	uint64_t size;
	uint32_t record_size;
	uint32_t count;
};
static_assert(sizeof(struct pss_section_part) == 24, "on-disk layout");

struct pss_section_header {
	uint8_t magic[8];
	uint16_t version;
	uint16_t part_count;
	uint32_t machine; /**< ELF e_machine of the captured process */
	uint32_t page_size;
	uint32_t capture_flags;        /**< PSS_CAPTURE_FLAGS as asked for */
	uint32_t thread_context_flags; /**< as asked for */
	int32_t capturer_pid;          /**< the process that captured it, as it counts itself */
	uint64_t capturer_start_ticks; /**< field 22 of its /proc/PID/stat */
	uint64_t total_size;
	struct pss_section_part parts[PSS_PART_COUNT];
};
static_assert(sizeof(struct pss_section_header) == 48 + 24 * PSS_PART_COUNT, "on-disk layout");

/** @size bytes at @offset within PSS_PART_BYTES. Not terminated. {0, 0} is nothing. */
struct pss_bytes_ref {
	uint64_t offset;
	uint64_t size;
};

enum pss_process_flag {
	PSS_PROCESS_32BIT = 1 << 0,  /**< a 32-bit program on a 64-bit kernel */
	PSS_PROCESS_FROZEN = 1 << 1, /**< stopped by job control, frozen or traced before us */
	PSS_PROCESS_NOT_DUMPABLE = 1 << 2, /**< PR_SET_DUMPABLE is off */
	PSS_PROCESS_EXITED = 1 << 3,       /**< leader is a zombie and no thread is left */
};

/** Instants: 100 ns ticks since 1601-01-01 UTC. Durations: 100 ns ticks. Sizes: bytes. */
struct pss_process_record {
	int32_t pid; /**< pids here are in the namespace of the capturing process */
	int32_t parent_pid;
	int32_t process_group;
	int32_t session;
	uint32_t uid;
	uint32_t gid;
	uint32_t flags;       /**< enum pss_process_flag */
	uint32_t state;       /**< letter of /proc/PID/stat */
	uint32_t exit_status; /**< wait(2) status of an exited process, meaningless before */
	int32_t nice;
	uint32_t policy; /**< SCHED_* */
	uint32_t rt_priority;
	uint64_t affinity_mask; /**< CPUs 0 to 63 */
	uint64_t start_ticks;   /**< field 22 of /proc/PID/stat: identity together with the pid */
	uint64_t create_time;
	uint64_t exit_time;
	uint64_t kernel_time;
	uint64_t user_time;
	uint64_t capture_time; /**< the instant of the snapshot */
	uint64_t capture_monotonic_ns;
	uint64_t capture_boottime_ns;
	uint64_t vm_peak;
	uint64_t vm_size;
	uint64_t vm_hwm;
	uint64_t vm_rss;
	uint64_t rss_anon;
	uint64_t vm_swap;
	uint64_t vm_pte;
	uint64_t page_faults;
	uint64_t debug_address;    /**< the loader's struct r_debug, or 0 */
	uint32_t coredump_filter;  /**< /proc/PID/coredump_filter */
	uint32_t thread_count;     /**< threads of the process at capture, captured or not */
	struct pss_bytes_ref comm; /**< of the leader */
	struct pss_bytes_ref exe;  /**< target of /proc/PID/exe */
	struct pss_bytes_ref command_line; /**< arguments, each ended by a NUL */
};
static_assert(sizeof(struct pss_process_record) == 248, "on-disk layout");

/** How a clone calls itself, and the number under which it holds its section: what a process that
 * somebody else names as his clone does not. */
#define PSS_CLONE_NAME "procsnap-clone"
enum { PSS_CLONE_SECTION_FD = 2 };

/** The copy-on-write clone. Believe nothing here before pss_memory_open_clone() has checked it. */
struct pss_clone_record {
	int32_t pid;
	int32_t target_pid_ns_pid; /**< its pid as the target's own namespace counts */
	uint64_t start_ticks;      /**< field 22 of its /proc/PID/stat */
	int32_t section_fd;        /**< the number under which the clone holds this very section */
	uint32_t reserved;
};
static_assert(sizeof(struct pss_clone_record) == 24, "on-disk layout");

/** One step's cost; the order follows PSS_PERFORMANCE_COUNTERS. */
struct pss_cost {
	uint64_t cycles;
	uint64_t wall_ns;
};

struct pss_figures_record {
	struct pss_cost total;
	struct pss_cost va_clone;
	struct pss_cost va_space;
	struct pss_cost aux_pages;
	struct pss_cost handles;
	struct pss_cost threads;
	uint64_t pause_ns; /**< for running threads: from the first stopped to the last let go */
	uint64_t hold_ns;  /**< the same counted from the first thread stopped, asleep or not */
	uint32_t threads_stopped;
	uint32_t threads_running; /**< of those, how many ran when they were stopped */
	uint64_t forecast_ns;     /**< what hold_ns was expected to be */
	uint64_t max_pause_ns;    /**< what it was allowed to be, 0: whatever it takes */
};
static_assert(sizeof(struct pss_figures_record) == 136, "on-disk layout");

enum pss_thread_flag {
	PSS_THREAD_TERMINATED = 1 << 0,    /**< a leader that has exited while others live */
	PSS_THREAD_HAS_REGISTERS = 1 << 1, /**< stopped, and its registers were read */
	PSS_THREAD_HAS_SYSCALL = 1 << 2,   /**< syscall_number and arguments are known */
	PSS_THREAD_UNSTOPPABLE = 1 << 3,   /**< in D state past the deadline: registers unknown */
	PSS_THREAD_GROUP_STOPPED = 1 << 4, /**< was stopped by job control before us */
	PSS_THREAD_CALLER = 1 << 5,        /**< the thread that called PssCaptureSnapshot */
};

struct pss_thread_record {
	int32_t tid;
	uint32_t flags; /**< enum pss_thread_flag */
	uint32_t state; /**< letter of /proc/PID/task/TID/stat before we stopped it */
	uint32_t exit_status;
	int32_t nice;
	uint32_t policy;
	uint32_t rt_priority;
	uint32_t reserved;
	uint64_t affinity_mask;
	uint64_t create_time;
	uint64_t exit_time;
	uint64_t kernel_time;
	uint64_t user_time;
	uint64_t capture_time;
	uint64_t thread_pointer; /**< fs_base, TPIDR_EL0, or 0 */
	uint64_t instruction_pointer;
	uint64_t stack_pointer;
	int64_t syscall_number; /**< the call it sits in, or -1 */
	uint64_t syscall_arguments[6];
	uint64_t signal_mask;
	uint64_t signal_pending;
	struct pss_bytes_ref name; /**< comm */
	uint64_t registers_offset; /**< within PSS_PART_REGISTERS */
	uint64_t registers_size;   /**< bytes of its chain, 0 if none */
};
static_assert(sizeof(struct pss_thread_record) == 208, "on-disk layout");

/** Head of one register set; @size bytes follow, then padding to a multiple of 8. */
struct pss_regset_record {
	uint32_t note_type; /**< NT_PRSTATUS holds the general registers alone; NT_SIGINFO too */
	uint32_t size;
};
static_assert(sizeof(struct pss_regset_record) == 8, "on-disk layout");

enum pss_region_protection {
	PSS_REGION_READ = 1 << 0,
	PSS_REGION_WRITE = 1 << 1,
	PSS_REGION_EXECUTE = 1 << 2,
};

enum pss_region_flag {
	PSS_REGION_SHARED = 1 << 0,
	PSS_REGION_HAS_VM_FLAGS = 1 << 1, /**< the flags below this one are known */
	PSS_REGION_DONT_DUMP = 1 << 2,
	PSS_REGION_WIPE_ON_FORK = 1 << 3,
	PSS_REGION_DEVICE = 1 << 4, /**< VM_IO or VM_PFNMAP: reading may have side effects */
	PSS_REGION_HUGETLB = 1 << 5,
	PSS_REGION_GROWS_DOWN = 1 << 6,
	PSS_REGION_SHADOW_STACK = 1 << 7,
	PSS_REGION_DONT_FORK = 1 << 8, /**< not in the clone */
};

/** What lies behind a mapping. */
enum pss_region_kind {
	PSS_REGION_PRIVATE, /**< anonymous, heap, stack */
	PSS_REGION_MAPPED,  /**< a file that is no program, shared memory, memfd */
	PSS_REGION_IMAGE,   /**< part of an ELF object */
	PSS_REGION_SPECIAL, /**< [vdso], [vvar], [vsyscall] and the like */
	PSS_REGION_KIND_COUNT,
};

/** What its bytes are worth. */
enum pss_region_content {
	PSS_CONTENT_NONE,          /**< no clone was made */
	PSS_CONTENT_POINT_IN_TIME, /**< as of the instant of the snapshot */
	PSS_CONTENT_LIVE,          /**< shared: as of the moment of reading */
	PSS_CONTENT_WIPED,         /**< MADV_WIPEONFORK: zeroes */
	PSS_CONTENT_MISSING,       /**< MADV_DONTFORK, or lost */
	PSS_CONTENT_EXCLUDED,      /**< devices: never read */
	PSS_CONTENT_COUNT,
};

#define PSS_RESIDENT_UNKNOWN UINT64_MAX

struct pss_region_record {
	uint64_t start;
	uint64_t end;
	uint64_t file_offset;
	uint64_t inode;
	uint32_t device_major;
	uint32_t device_minor;
	uint32_t protection; /**< enum pss_region_protection */
	uint32_t flags;      /**< enum pss_region_flag */
	uint32_t kind;       /**< enum pss_region_kind */
	uint32_t content;    /**< enum pss_region_content */
	uint64_t allocation_base;
	uint64_t resident_bytes;  /**< present or swapped, or PSS_RESIDENT_UNKNOWN */
	uint64_t image_base;      /**< preferred address: lowest p_vaddr of its loadable segments */
	uint32_t image_size;      /**< span of its loadable segments */
	uint32_t image_timestamp; /**< first four bytes of the build ID, big-endian */
	struct pss_bytes_ref path; /**< as /proc/PID/maps shows it, escapes undone */
	struct pss_bytes_ref build_id;
};
static_assert(sizeof(struct pss_region_record) == 120, "on-disk layout");

/** What a descriptor stands for. */
enum pss_handle_kind {
	PSS_HANDLE_KIND_UNKNOWN,
	PSS_HANDLE_KIND_FILE,
	PSS_HANDLE_KIND_DIRECTORY,
	PSS_HANDLE_KIND_PATH, /**< O_PATH, whatever it leads to */
	PSS_HANDLE_KIND_PIPE, /**< and FIFOs */
	PSS_HANDLE_KIND_SOCKET,
	PSS_HANDLE_KIND_DEVICE,    /**< character and block devices, terminals */
	PSS_HANDLE_KIND_EVENT,     /**< eventfd */
	PSS_HANDLE_KIND_SEMAPHORE, /**< eventfd with EFD_SEMAPHORE */
	PSS_HANDLE_KIND_PROCESS,   /**< pidfd */
	PSS_HANDLE_KIND_THREAD,    /**< pidfd with PIDFD_THREAD */
	PSS_HANDLE_KIND_SECTION,   /**< memfd, POSIX and System V shared memory */
	PSS_HANDLE_KIND_TIMER,
	PSS_HANDLE_KIND_SIGNAL,
	PSS_HANDLE_KIND_EPOLL,
	PSS_HANDLE_KIND_INOTIFY,
	PSS_HANDLE_KIND_FANOTIFY,
	PSS_HANDLE_KIND_IO_RING,
	PSS_HANDLE_KIND_USERFAULT,
	PSS_HANDLE_KIND_BPF,
	PSS_HANDLE_KIND_PERF_EVENT,
	PSS_HANDLE_KIND_DMA_BUFFER,
	PSS_HANDLE_KIND_OTHER, /**< another anonymous inode: its name says which */
	PSS_HANDLE_KIND_COUNT,
};

enum pss_handle_flag {
	PSS_HANDLE_CLOSE_ON_EXEC = 1 << 0,
	PSS_HANDLE_DELETED = 1 << 1,   /**< the name it was opened by is gone */
	PSS_HANDLE_HAS_INFO = 1 << 2,  /**< open_flags, position, mount_id and info are known */
	PSS_HANDLE_HAS_NAME = 1 << 3,  /**< asked for, and there is one */
	PSS_HANDLE_HAS_INODE = 1 << 4, /**< inode, device, mode and size are known */
	PSS_HANDLE_HAS_COUNT = 1 << 5, /**< count is known */
	PSS_HANDLE_HAS_TASK = 1 << 6,  /**< pid and tid of task are known */
	PSS_HANDLE_HAS_TASK_STATE = 1 << 7, /**< and the rest of it */
};

/** What a process or thread descriptor refers to, as it was. */
struct pss_handle_task {
	int32_t pid; /**< -1: it has been reaped; 0: not in our pid namespace */
	int32_t tid; /**< of a thread descriptor, else 0 */
	int32_t parent_pid;
	uint32_t flags;       /**< enum pss_process_flag */
	uint32_t exit_status; /**< wait(2) status if PSS_PROCESS_EXITED */
	int32_t nice;
	uint32_t policy;
	uint32_t rt_priority;
	uint64_t affinity_mask;
};

/** One descriptor of the target's table. */
struct pss_handle_record {
	int32_t fd;
	uint32_t kind;       /**< enum pss_handle_kind */
	uint32_t flags;      /**< enum pss_handle_flag */
	uint32_t open_flags; /**< O_*, as fdinfo gives them */
	uint64_t capture_time;
	uint64_t position;
	uint64_t inode;
	uint64_t size; /**< of what stands behind it, where it has one */
	uint32_t device_major;
	uint32_t device_minor;
	uint32_t mode; /**< st_mode */
	uint32_t mount_id;
	union {
		struct pss_handle_task task; /**< PROCESS, THREAD */
		uint64_t count;              /**< EVENT, SEMAPHORE */
		uint8_t reserved[48];
	};
	struct pss_bytes_ref link; /**< as /proc/PID/fd shows it */
	struct pss_bytes_ref name; /**< as people say it; a path, "tcp 127.0.0.1:80 LISTEN" */
	struct pss_bytes_ref info; /**< text of /proc/PID/fdinfo */
};
static_assert(sizeof(struct pss_handle_record) == 160, "on-disk layout");

/** One page that a clone cannot hold. */
struct pss_aux_page_record {
	uint64_t address;
	uint64_t capture_time;
	struct pss_bytes_ref contents; /**< one page */
};
static_assert(sizeof(struct pss_aux_page_record) == 32, "on-disk layout");

/** The clone's bytes at @address are ours; the target's own were @bytes. */
struct pss_patch_record {
	uint64_t address;
	struct pss_bytes_ref bytes;
};
static_assert(sizeof(struct pss_patch_record) == 24, "on-disk layout");

#endif
