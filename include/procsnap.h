/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * procsnap's own additions to the Process Snapshotting API: what a snapshot knows in Linux' own
 * terms, an ELF core of it, whether a capture would work, the text of the last failure, and
 * conversions between UTF-16 and UTF-8.
 * Structures start with their size, which the caller sets: so they can grow. C99 and C++11.
 */
#ifndef PROCSNAP_H
#define PROCSNAP_H

#include <stddef.h>
#include <stdint.h>

#include "processsnapshot.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the library as a string, such as "0.1.0". Constant text. */
PSSAPI const char *WINAPI PssxVersion(void);

/*
 * One line, UTF-8, on the last Pss, Pssx or companion function of this thread that failed: what
 * failed, on what, why, and what may help. Empty if none did. Valid until the next such call of
 * this thread.
 */
PSSAPI const char *WINAPI PssxErrorText(void);

/*
 * What a code means that a function of this library returned or left as last error, in a few words
 * of English, UTF-8: what FormatMessage is for on Windows. Also for an HRESULT that holds such a
 * code. Constant text, to be kept as long as one likes; never NULL: an unknown code is said to be
 * one. PssxErrorText() says more of the last failure.
 */
PSSAPI const char *WINAPI PssxErrorMessage(DWORD Code);

/* Zero everything, then set Size. */
typedef struct PSSX_CAPTURE_OPTIONS {
	uint32_t Size;               /* sizeof(PSSX_CAPTURE_OPTIONS) */
	uint32_t Flags;              /* PSSX_CAPTURE_* */
	uint64_t MaxPauseNs;         /* how long any thread may be held; 0: no limit */
	uint32_t MaxClones;          /* that the process may have, with this one; 0: 8 */
	uint32_t Reserved;           /* 0 */
	uint64_t MemoryReserveBytes; /* memory to be left for the process; 0: by its size */
} PSSX_CAPTURE_OPTIONS;

enum {
	PSSX_CAPTURE_IGNORE_MEMORY = 0x1, /* no forecast of memory, no watch over it */
	/*
	 * A process of the library's goes on watching, as PssxWatchMemory() would, without a gap,
	 * until the snapshot is freed here or the calling thread ends.
	 */
	PSSX_CAPTURE_KEEP_WATCH = 0x2
};

/*
 * PssCaptureSnapshot with limits that protect the process. Options NULL: the same as that one.
 * ERROR_TIMEOUT: by the forecast it would be held for longer than MaxPauseNs, and was not touched;
 * or stopping it took so long that it would have been, and it was let go. A pause that turns out
 * longer all the same is told by PssxQueryFigures; the snapshot is kept. ERROR_NOT_ENOUGH_QUOTA: as
 * many clones of the process live already; or a clone and the reserve do not fit into what memory
 * there is for the process, or memory grew short meanwhile and the snapshot was given up.
 * ERROR_BAD_LENGTH; ERROR_INVALID_PARAMETER also for
 * unknown Flags and for something reserved that is not 0. A Size may be that of an earlier release:
 * what it does not reach is 0.
 */
PSSAPI DWORD WINAPI PssxCaptureSnapshot(HANDLE ProcessHandle, PSS_CAPTURE_FLAGS CaptureFlags,
					DWORD ThreadContextFlags,
					const PSSX_CAPTURE_OPTIONS *Options, HPSS *SnapshotHandle);

/* How long things took. Nanoseconds of CLOCK_MONOTONIC. */
typedef struct PSSX_FIGURES {
	uint32_t Size;           /* set by the caller: sizeof(PSSX_FIGURES) */
	uint32_t ThreadsStopped; /* 0 if the capture stopped nothing */
	uint32_t ThreadsRunning; /* of those, on a CPU or waiting for one when stopped */
	uint32_t Reserved;
	uint64_t PauseNs;    /* how long running threads were held; HoldNs if none ran */
	uint64_t HoldNs;     /* from the first thread stopped to the last let go, asleep or not */
	uint64_t CloneNs;    /* of that, making the clone */
	uint64_t TotalNs;    /* the whole of PssCaptureSnapshot */
	uint64_t ForecastNs; /* what HoldNs was expected to be before anything was stopped */
	uint64_t MaxPauseNs; /* what HoldNs was allowed to be; 0: no limit */
} PSSX_FIGURES;

/*
 * Figures of the capture. ERROR_INVALID_HANDLE, ERROR_BAD_LENGTH. Any snapshot has them. A Size may
 * be that of an earlier release: nothing beyond it is written.
 */
PSSAPI DWORD WINAPI PssxQueryFigures(HPSS SnapshotHandle, PSSX_FIGURES *Figures);

/* The process in Linux' terms. Texts are UTF-8, cut at a whole character. */
typedef struct PSSX_PROCESS {
	uint32_t Size; /* set by the caller */
	int32_t Pid;
	int32_t ParentPid;
	int32_t ProcessGroup;
	int32_t Session;
	uint32_t Uid;
	uint32_t Gid;
	char State; /* letter of proc(5) */
	char Comm[64];
	char Reserved[3];
	int32_t Nice;
	uint32_t ThreadCount;
	uint64_t CoredumpFilter;
	uint64_t VirtualBytes;
	uint64_t ResidentBytes;
	uint64_t AnonymousBytes;
	uint64_t SwappedBytes;
	uint64_t PageTableBytes;
	uint64_t CaptureTimeNs; /* CLOCK_REALTIME at the instant of the snapshot */
	uint64_t StartTimeNs;   /* CLOCK_REALTIME */
	int32_t ClonePid;       /* 0: no clone */
	uint32_t Machine;       /* ELF e_machine */
	char Executable[4096];  /* path, terminated, cut if longer */
	char CommandLine[4096]; /* arguments joined by spaces, cut if longer */
} PSSX_PROCESS;

PSSAPI DWORD WINAPI PssxQueryProcess(HPSS SnapshotHandle, PSSX_PROCESS *Process);

enum {
	PSSX_THREAD_TERMINATED = 0x01, /* leader that has exited while others live */
	PSSX_THREAD_HAS_REGISTERS = 0x02,
	PSSX_THREAD_HAS_SYSCALL = 0x04,   /* SyscallNumber and SyscallArguments are known */
	PSSX_THREAD_UNSTOPPABLE = 0x08,   /* in D state past the deadline */
	PSSX_THREAD_GROUP_STOPPED = 0x10, /* stopped by job control before the capture */
	PSSX_THREAD_CALLER = 0x20,        /* called PssCaptureSnapshot on its own process */
};

typedef struct PSSX_THREAD {
	uint32_t Size; /* set by the caller */
	int32_t ThreadId;
	uint32_t Flags; /* PSSX_THREAD_* */
	char State;     /* letter of proc(5) when the thread was found */
	char Name[64];  /* comm, terminated */
	char Reserved[3];
	int32_t Nice;
	uint32_t Policy; /* SCHED_* */
	uint32_t RtPriority;
	uint64_t UserTimeNs;
	uint64_t KernelTimeNs;
	uint64_t InstructionPointer; /* 0 without registers */
	uint64_t StackPointer;
	uint64_t ThreadPointer;
	int64_t SyscallNumber; /* -1: in none */
	uint64_t SyscallArguments[6];
	uint64_t SignalMask;
} PSSX_THREAD;

/* Thread Index of the snapshot, from 0. ERROR_NO_MORE_ITEMS past the last, ERROR_NOT_FOUND if
 * threads were not captured. */
PSSAPI DWORD WINAPI PssxQueryThread(HPSS SnapshotHandle, DWORD Index, PSSX_THREAD *Thread);

/*
 * One register set of a thread as the kernel gives it to PTRACE_GETREGSET: NoteType is NT_PRSTATUS
 * (general registers alone), NT_PRFPREG, NT_X86_XSTATE, NT_SIGINFO, .... *Length holds the room in
 * Buffer and receives the size. ERROR_INSUFFICIENT_BUFFER (with *Length set), ERROR_NOT_FOUND.
 */
PSSAPI DWORD WINAPI PssxQueryRegisters(HPSS SnapshotHandle, DWORD Index, DWORD NoteType,
				       void *Buffer, SIZE_T *Length);

enum {
	PSSX_REGION_READ = 0x1,
	PSSX_REGION_WRITE = 0x2,
	PSSX_REGION_EXECUTE = 0x4,
	PSSX_REGION_SHARED = 0x8,
	PSSX_REGION_DONT_DUMP = 0x10,    /* MADV_DONTDUMP */
	PSSX_REGION_WIPE_ON_FORK = 0x20, /* MADV_WIPEONFORK: zeroes in a clone */
	PSSX_REGION_DEVICE = 0x40,       /* never read */
	PSSX_REGION_HUGETLB = 0x80,
	PSSX_REGION_DONT_FORK = 0x100, /* MADV_DONTFORK: bytes of kept auxiliary pages only */
};

/* What the bytes of a region are worth. */
typedef enum PSSX_CONTENT {
	PSSX_CONTENT_NONE = 0,          /* no clone: no bytes */
	PSSX_CONTENT_POINT_IN_TIME = 1, /* as of the instant of the snapshot */
	PSSX_CONTENT_LIVE = 2,          /* shared: as of the moment of reading */
	PSSX_CONTENT_WIPED = 3,
	PSSX_CONTENT_MISSING = 4,
	PSSX_CONTENT_EXCLUDED = 5
} PSSX_CONTENT;

#define PSSX_RESIDENT_UNKNOWN UINT64_MAX

typedef struct PSSX_REGION {
	uint32_t Size;  /* set by the caller */
	uint32_t Flags; /* PSSX_REGION_* */
	uint64_t Start;
	uint64_t End;
	uint64_t FileOffset;
	uint64_t Inode;
	uint64_t ResidentBytes; /* or PSSX_RESIDENT_UNKNOWN */
	PSSX_CONTENT Content;
	uint32_t BuildIdSize;
	uint8_t BuildId[64];
	char Path[4096]; /* terminated; empty for anonymous memory */
} PSSX_REGION;

/* Region Index of the snapshot, from 0, by address. Errors as for threads. */
PSSAPI DWORD WINAPI PssxQueryRegion(HPSS SnapshotHandle, DWORD Index, PSSX_REGION *Region);

/* What a descriptor stands for. More may come: treat what you do not know as OTHER. */
typedef enum PSSX_HANDLE_KIND {
	PSSX_HANDLE_KIND_UNKNOWN = 0, /* it could not be looked at */
	PSSX_HANDLE_KIND_FILE = 1,
	PSSX_HANDLE_KIND_DIRECTORY = 2,
	PSSX_HANDLE_KIND_PATH = 3, /* O_PATH, whatever it leads to */
	PSSX_HANDLE_KIND_PIPE = 4, /* and FIFOs */
	PSSX_HANDLE_KIND_SOCKET = 5,
	PSSX_HANDLE_KIND_DEVICE = 6,    /* character and block devices, terminals */
	PSSX_HANDLE_KIND_EVENT = 7,     /* eventfd */
	PSSX_HANDLE_KIND_SEMAPHORE = 8, /* eventfd with EFD_SEMAPHORE */
	PSSX_HANDLE_KIND_PROCESS = 9,   /* pidfd */
	PSSX_HANDLE_KIND_THREAD = 10,   /* pidfd with PIDFD_THREAD */
	PSSX_HANDLE_KIND_SECTION = 11,  /* memfd, POSIX and System V shared memory */
	PSSX_HANDLE_KIND_TIMER = 12,
	PSSX_HANDLE_KIND_SIGNAL = 13,
	PSSX_HANDLE_KIND_EPOLL = 14,
	PSSX_HANDLE_KIND_INOTIFY = 15,
	PSSX_HANDLE_KIND_FANOTIFY = 16,
	PSSX_HANDLE_KIND_IO_RING = 17,
	PSSX_HANDLE_KIND_USERFAULT = 18,
	PSSX_HANDLE_KIND_BPF = 19,
	PSSX_HANDLE_KIND_PERF_EVENT = 20,
	PSSX_HANDLE_KIND_DMA_BUFFER = 21,
	PSSX_HANDLE_KIND_OTHER = 22 /* another object without a file: Link says which */
} PSSX_HANDLE_KIND;

enum {
	PSSX_HANDLE_CLOSE_ON_EXEC = 0x01,
	PSSX_HANDLE_DELETED = 0x02,   /* the name it was opened by is gone */
	PSSX_HANDLE_HAS_INFO = 0x04,  /* OpenFlags, Position and MountId are known */
	PSSX_HANDLE_HAS_INODE = 0x08, /* Inode, Device, Mode and SizeBytes are known */
	PSSX_HANDLE_HAS_COUNT = 0x10, /* Count is known: events and semaphores */
	PSSX_HANDLE_HAS_TASK = 0x20   /* Pid and Tid are known: processes and threads */
};

typedef struct PSSX_HANDLE {
	uint32_t Size; /* set by the caller */
	int32_t Descriptor;
	PSSX_HANDLE_KIND Kind;
	uint32_t Flags;     /* PSSX_HANDLE_* */
	uint32_t OpenFlags; /* O_*, as fcntl(F_GETFL) gives them */
	uint32_t Mode;      /* st_mode */
	uint32_t DeviceMajor;
	uint32_t DeviceMinor;
	uint32_t MountId;
	int32_t Pid; /* -1: reaped; 0: not in our pid namespace */
	int32_t Tid; /* of a thread, else 0 */
	uint32_t Reserved;
	uint64_t Position;
	uint64_t Inode;
	uint64_t SizeBytes;     /* of a file or section */
	uint64_t Count;         /* of an event or semaphore */
	uint64_t CaptureTimeNs; /* CLOCK_REALTIME */
	char Link[4096];        /* as /proc/PID/fd shows it, terminated, cut if longer */
	char Name[4096]; /* as people say it: "tcp 127.0.0.1:80 LISTEN"; empty if not asked for */
} PSSX_HANDLE;

/* Descriptor Index of the snapshot, from 0, by number. Errors as for threads. */
PSSAPI DWORD WINAPI PssxQueryHandle(HPSS SnapshotHandle, DWORD Index, PSSX_HANDLE *Handle);

/*
 * What /proc/PID/fdinfo said of the descriptor, UTF-8, not terminated. *Length holds the room in
 * Buffer and receives the size. ERROR_INSUFFICIENT_BUFFER (with *Length set), ERROR_NOT_FOUND.
 */
PSSAPI DWORD WINAPI PssxQueryHandleInfo(HPSS SnapshotHandle, DWORD Index, void *Buffer,
					SIZE_T *Length);

/* Called about ten times a second while a core is written. Bytes of memory. Nonzero cancels. */
typedef int(WINAPI *PSSX_PROGRESS)(void *Context, uint64_t Done, uint64_t Total);

/* Zero everything, then set Size. */
typedef struct PSSX_CORE_OPTIONS {
	uint32_t Size;            /* sizeof(PSSX_CORE_OPTIONS) */
	uint32_t Compress;        /* 1: one zstd frame, made while writing by two threads of zstd */
	int32_t Level;            /* zstd's level; 0: its default */
	uint32_t IncludeDontDump; /* 1: also memory marked with MADV_DONTDUMP */
	uint32_t UseFilter;       /* 1: Filter below, 0: the target's own coredump_filter */
	uint32_t Flags;           /* PSSX_CORE_* */
	uint64_t Filter;          /* bits of core(5) */
	PSSX_PROGRESS Progress;
	void *ProgressContext;
	uint64_t MemoryReserveBytes; /* memory to be left for the process; 0: by its size */
} PSSX_CORE_OPTIONS;

enum {
	/*
	 * The clone gives its memory back as it is written, so that the process no longer copies
	 * what it writes to. This consumes the snapshot: its memory can't be read again.
	 */
	PSSX_CORE_DRAIN = 0x1,
	PSSX_CORE_IGNORE_MEMORY = 0x2 /* no watch over the memory of the process */
};

/* What was written. */
typedef struct PSSX_CORE_RESULT {
	uint32_t Size; /* set by the caller */
	uint32_t Threads;
	uint32_t Segments;
	uint32_t Reserved;
	uint64_t FileBytes;       /* apparent size of the core, before compression */
	uint64_t MemoryBytes;     /* bytes of memory in it */
	uint64_t OutputBytes;     /* bytes handed to the descriptor */
	uint64_t UnreadableBytes; /* planned, but unreadable: holes */
} PSSX_CORE_RESULT;

/*
 * Writes an ELF core of the snapshot to the descriptor Fd, forward only, so a pipe works; a regular
 * file gets holes where memory has none. The snapshot needs PSS_CAPTURE_VA_CLONE; without threads
 * the core has none. Options and Result may be NULL. Fd stays the caller's. On failure the bytes
 * already written remain: write to a temporary name. ERROR_NOT_FOUND (no clone),
 * ERROR_INVALID_PARAMETER (the clone has died: see the text; unknown Flags), ERROR_DISK_FULL,
 * ERROR_BROKEN_PIPE, ERROR_CANCELLED, ERROR_NOT_SUPPORTED (zstd not built in).
 * ERROR_NOT_ENOUGH_QUOTA: while it was written, memory grew so short that the process would have
 * been killed for want of it, and the snapshot was given up: its clone has ended.
 */
PSSAPI DWORD WINAPI PssxWriteElfCore(HPSS SnapshotHandle, int Fd, const PSSX_CORE_OPTIONS *Options,
				     PSSX_CORE_RESULT *Result);

/* Zero everything, then set Size. */
typedef struct PSSX_MINIDUMP_OPTIONS {
	uint32_t Size;     /* sizeof(PSSX_MINIDUMP_OPTIONS) */
	uint32_t Type;     /* MINIDUMP_TYPE of minidumpapiset.h */
	uint32_t Flags;    /* PSSX_MINIDUMP_* */
	uint32_t Compress; /* 1: one zstd frame, as for a core */
	int32_t Level;     /* zstd's level; 0: its default */
	uint32_t Reserved; /* 0 */
	PSSX_PROGRESS Progress;
	void *ProgressContext;
	uint64_t MemoryReserveBytes; /* memory to be left for the process; 0: by its size */
} PSSX_MINIDUMP_OPTIONS;

enum {
	PSSX_MINIDUMP_DRAIN = 0x1,           /* as PSSX_CORE_DRAIN: consumes the snapshot */
	PSSX_MINIDUMP_IGNORE_MEMORY = 0x2,   /* no watch over the memory of the process */
	PSSX_MINIDUMP_ENVIRONMENT = 0x4,     /* a stream with its environment variables */
	PSSX_MINIDUMP_INCLUDE_DONTDUMP = 0x8 /* also memory marked with MADV_DONTDUMP */
};

/* What was written. */
typedef struct PSSX_MINIDUMP_RESULT {
	uint32_t Size; /* set by the caller */
	uint32_t Threads;
	uint32_t Modules;
	uint32_t Ranges; /* of memory */
	uint32_t Streams;
	uint32_t Reserved;
	uint64_t FileBytes;       /* apparent size of the dump, before compression */
	uint64_t MemoryBytes;     /* bytes of memory in it */
	uint64_t OutputBytes;     /* bytes handed to the descriptor */
	uint64_t UnreadableBytes; /* planned, but unreadable: zeroes */
} PSSX_MINIDUMP_RESULT;

/*
 * Writes a minidump of the snapshot to the descriptor Fd, forward only, as PssxWriteElfCore()
 * writes a core; conditions and errors are the same. ERROR_FILE_TOO_LARGE: what needs a position of
 * 32 bits lies beyond it. MiniDumpWriteDump() of dbghelp.h is Windows' own way to the same.
 */
PSSAPI DWORD WINAPI PssxWriteMinidump(HPSS SnapshotHandle, int Fd,
				      const PSSX_MINIDUMP_OPTIONS *Options,
				      PSSX_MINIDUMP_RESULT *Result);

/*
 * Watches the memory of the process while a snapshot of it is kept: each page that the process
 * writes meanwhile is kept twice. Returns when the descriptor StopFd becomes readable, or the clone
 * has ended; so call it in a thread of its own. ERROR_NOT_ENOUGH_QUOTA: memory grew so short that
 * the process would have been killed for want of it, and the snapshot was given up: its clone has
 * ended. ReserveBytes of memory are to be left at any time; 0: by the size of the process.
 * PssxWriteElfCore() watches by itself. ERROR_NOT_FOUND (no clone), ERROR_INVALID_HANDLE,
 * ERROR_INVALID_PARAMETER (the process or the clone has ended).
 */
PSSAPI DWORD WINAPI PssxWatchMemory(HPSS SnapshotHandle, int StopFd, uint64_t ReserveBytes);

/* Whether something stands in the way of a capture. */
typedef enum PSSX_SEVERITY {
	PSSX_SEVERITY_OK = 0,
	PSSX_SEVERITY_UNKNOWN = 1, /* it can't be seen, mostly for lack of rights */
	PSSX_SEVERITY_WARNING = 2, /* a capture works, at a price */
	PSSX_SEVERITY_PROBLEM = 3  /* a capture of memory and registers fails */
} PSSX_SEVERITY;

typedef struct PSSX_FINDING {
	uint32_t Size;          /* set by the caller */
	PSSX_SEVERITY Severity; /* how bad it is */
	char Id[32];            /* of the check, such as "yama": stays the same */
	char Text[512];         /* what was found; "it" is the process, "you" the caller */
	char Cure[512];         /* what helps: a command, right or setting; empty if none does */
} PSSX_FINDING;

/*
 * Would a capture of memory and registers work? Makes check Index, from 0, on the live process; it
 * would if none is a PROBLEM. Reads /proc and stops, traces and changes nothing.
 * ERROR_NO_MORE_ITEMS past the last check, ERROR_INVALID_HANDLE, ERROR_BAD_LENGTH.
 */
PSSAPI DWORD WINAPI PssxExamine(HANDLE Process, DWORD Index, PSSX_FINDING *Finding);

/*
 * Conversions. Length is in units of the source, without terminator. Writes at most Room units with
 * a terminator, never half a character, and returns the units the whole would need without
 * terminator. What is invalid becomes U+FFFD.
 */
PSSAPI SIZE_T WINAPI PssxUtf16ToUtf8(const WCHAR *Source, SIZE_T Length, char *Target, SIZE_T Room);
PSSAPI SIZE_T WINAPI PssxUtf8ToUtf16(const char *Source, SIZE_T Length, WCHAR *Target, SIZE_T Room);

#ifdef __cplusplus
}
#endif

#endif /* PROCSNAP_H */
