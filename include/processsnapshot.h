/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Process snapshots, with the names, values and byte layouts of Windows' header of this name.
 * What is particular to Linux is said at each item; what only Linux has is in procsnap.h.
 *
 * Every function returns ERROR_SUCCESS or another code of win32.h, and leaves errno and the
 * last-error value alone. Output is written on success only. All functions may be called by several
 * threads at once, as long as no two use the same marker, and nobody frees a snapshot in use.
 */
#ifndef PSS_PROCESSSNAPSHOT_H
#define PSS_PROCESSSNAPSHOT_H

#include "win32.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A snapshot: a file descriptor of a sealed memfd that holds everything captured. It may be
 * duplicated, sent over a Unix socket and inherited. NULL and descriptors of other things are
 * refused with ERROR_INVALID_HANDLE.
 */
DECLARE_HANDLE(HPSS);

/* A walk marker: the position of a walk, and the memory of what it handed out. */
DECLARE_HANDLE(HPSSWALK);

/* Ticks per second of the wall clock periods in PSS_PERFORMANCE_COUNTERS. */
#define PSS_PERF_RESOLUTION 1000000

/*
 * What a handle entry holds beyond the number of the descriptor. Source: "PSS_HANDLE_FLAGS
 * enumeration".
 */
typedef enum PSS_HANDLE_FLAGS {
	PSS_HANDLE_NONE = 0x00,
	PSS_HANDLE_HAVE_TYPE = 0x01,                      /* ObjectType, TypeName */
	PSS_HANDLE_HAVE_NAME = 0x02,                      /* ObjectName */
	PSS_HANDLE_HAVE_BASIC_INFORMATION = 0x04,         /* Attributes to NonPagedPoolCharge */
	PSS_HANDLE_HAVE_TYPE_SPECIFIC_INFORMATION = 0x08, /* TypeSpecificInformation */
} PSS_HANDLE_FLAGS;
DEFINE_ENUM_FLAG_OPERATORS(PSS_HANDLE_FLAGS)

/*
 * Kinds of objects that have an arm in TypeSpecificInformation. Everything else, files and sockets
 * among them, is UNKNOWN and told apart by TypeName. Source: "PSS_OBJECT_TYPE enumeration".
 */
typedef enum PSS_OBJECT_TYPE {
	PSS_OBJECT_TYPE_UNKNOWN = 0,
	PSS_OBJECT_TYPE_PROCESS = 1,   /* pidfd */
	PSS_OBJECT_TYPE_THREAD = 2,    /* pidfd of a single thread */
	PSS_OBJECT_TYPE_MUTANT = 3,    /* Linux has none */
	PSS_OBJECT_TYPE_EVENT = 4,     /* eventfd */
	PSS_OBJECT_TYPE_SECTION = 5,   /* memfd, shared memory */
	PSS_OBJECT_TYPE_SEMAPHORE = 6, /* eventfd with EFD_SEMAPHORE */
} PSS_OBJECT_TYPE;

/*
 * What to capture, and how. Source: "PSS_CAPTURE_FLAGS enumeration". Only VA_CLONE and
 * THREAD_CONTEXT stop the target; the rest is read from /proc while it runs on. Reserved bits are
 * refused with ERROR_INVALID_PARAMETER.
 */
__extension__ typedef enum PSS_CAPTURE_FLAGS {
	/* process information only */
	PSS_CAPTURE_NONE = 0x00000000,
	/* a copy-on-write clone of the memory, made by clone(2) in the target */
	PSS_CAPTURE_VA_CLONE = 0x00000001,
	PSS_CAPTURE_RESERVED_00000002 = 0x00000002,
	/* the descriptor table: numbers and types */
	PSS_CAPTURE_HANDLES = 0x00000004,
	/* paths, socket addresses and the like; needs HANDLES */
	PSS_CAPTURE_HANDLE_NAME_INFORMATION = 0x00000008,
	/* attributes and access; needs HANDLES */
	PSS_CAPTURE_HANDLE_BASIC_INFORMATION = 0x00000010,
	/* state of processes, threads, events, sections and semaphores; needs HANDLES */
	PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION = 0x00000020,
	/* accepted; Linux keeps no trace of handles, so its query gives ERROR_NOT_FOUND */
	PSS_CAPTURE_HANDLE_TRACE = 0x00000040,
	/* the list of threads */
	PSS_CAPTURE_THREADS = 0x00000080,
	/* the registers that ThreadContextFlags selects; needs THREADS */
	PSS_CAPTURE_THREAD_CONTEXT = 0x00000100,
	/* extended registers: all state components the processor has; needs THREAD_CONTEXT */
	PSS_CAPTURE_THREAD_CONTEXT_EXTENDED = 0x00000200,
	PSS_CAPTURE_RESERVED_00000400 = 0x00000400,
	/* the list of memory regions, without contents */
	PSS_CAPTURE_VA_SPACE = 0x00000800,
	/* names of mapped files and facts of ELF images; needs VA_SPACE */
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION = 0x00001000,
	/* accepted; no processor trace is taken */
	PSS_CAPTURE_IPT_TRACE = 0x00002000,
	PSS_CAPTURE_RESERVED_00004000 = 0x00004000,

	/* if the clone cannot leave the target's control groups, it stays; needs BREAKAWAY */
	PSS_CREATE_BREAKAWAY_OPTIONAL = 0x04000000,
	/* move the clone into the caller's control groups; fails where both are in one */
	PSS_CREATE_BREAKAWAY = 0x08000000,
	/* the same, and out of a group that both are in, to the root */
	PSS_CREATE_FORCE_BREAKAWAY = 0x10000000,
	/* use no heap: true of every capture here; lets others free the snapshot */
	PSS_CREATE_USE_VM_ALLOCATIONS = 0x20000000,
	/* fill PSS_PERFORMANCE_COUNTERS */
	PSS_CREATE_MEASURE_PERFORMANCE = 0x40000000,
	/* accepted; on Linux a clone cannot let go of its executable */
	PSS_CREATE_RELEASE_SECTION = 0x80000000,
} PSS_CAPTURE_FLAGS;
DEFINE_ENUM_FLAG_OPERATORS(PSS_CAPTURE_FLAGS)

/*
 * Kinds of data of which a snapshot holds one piece; for PssQuerySnapshot. The comment names the
 * structure and the capture flag that brings it. Source: "PSS_QUERY_INFORMATION_CLASS enumeration".
 */
typedef enum PSS_QUERY_INFORMATION_CLASS {
	/* PSS_PROCESS_INFORMATION; always there */
	PSS_QUERY_PROCESS_INFORMATION = 0,
	/* PSS_VA_CLONE_INFORMATION; VA_CLONE */
	PSS_QUERY_VA_CLONE_INFORMATION = 1,
	/* PSS_AUXILIARY_PAGES_INFORMATION; there when pages were copied aside */
	PSS_QUERY_AUXILIARY_PAGES_INFORMATION = 2,
	/* PSS_VA_SPACE_INFORMATION; VA_SPACE */
	PSS_QUERY_VA_SPACE_INFORMATION = 3,
	/* PSS_HANDLE_INFORMATION; HANDLES */
	PSS_QUERY_HANDLE_INFORMATION = 4,
	/* PSS_THREAD_INFORMATION; THREADS */
	PSS_QUERY_THREAD_INFORMATION = 5,
	/* PSS_HANDLE_TRACE_INFORMATION; never there on Linux */
	PSS_QUERY_HANDLE_TRACE_INFORMATION = 6,
	/* PSS_PERFORMANCE_COUNTERS; MEASURE_PERFORMANCE */
	PSS_QUERY_PERFORMANCE_COUNTERS = 7,
} PSS_QUERY_INFORMATION_CLASS;

/*
 * Kinds of data of which a snapshot holds many pieces; for PssWalkSnapshot. Source:
 * "PSS_WALK_INFORMATION_CLASS enumeration"; THREAD_NAME from newer headers.
 */
typedef enum PSS_WALK_INFORMATION_CLASS {
	PSS_WALK_AUXILIARY_PAGES = 0, /* PSS_AUXILIARY_PAGE_ENTRY */
	PSS_WALK_VA_SPACE = 1,        /* PSS_VA_SPACE_ENTRY */
	PSS_WALK_HANDLES = 2,         /* PSS_HANDLE_ENTRY */
	PSS_WALK_THREADS = 3,         /* PSS_THREAD_ENTRY */
	PSS_WALK_THREAD_NAME = 4,     /* PSS_THREAD_NAME, in the order of PSS_WALK_THREADS */
} PSS_WALK_INFORMATION_CLASS;

/* For PssDuplicateSnapshot. Source: "PSS_DUPLICATE_FLAGS enumeration". */
typedef enum PSS_DUPLICATE_FLAGS {
	PSS_DUPLICATE_NONE = 0x00,
	PSS_DUPLICATE_CLOSE_SOURCE = 0x01, /* frees the source, whatever happens */
} PSS_DUPLICATE_FLAGS;
DEFINE_ENUM_FLAG_OPERATORS(PSS_DUPLICATE_FLAGS)

/* State of a process. Source: "PSS_PROCESS_FLAGS enumeration". */
typedef enum PSS_PROCESS_FLAGS {
	PSS_PROCESS_FLAGS_NONE = 0x00000000,
	PSS_PROCESS_FLAGS_PROTECTED = 0x00000001, /* not dumpable, PR_SET_DUMPABLE of prctl(2) */
	PSS_PROCESS_FLAGS_WOW64 = 0x00000002,     /* a 32-bit program */
	PSS_PROCESS_FLAGS_RESERVED_03 = 0x00000004,
	PSS_PROCESS_FLAGS_RESERVED_04 = 0x00000008,
	/* stopped by job control, by a frozen cgroup or by a tracer before the capture began */
	PSS_PROCESS_FLAGS_FROZEN = 0x00000010,
} PSS_PROCESS_FLAGS;
DEFINE_ENUM_FLAG_OPERATORS(PSS_PROCESS_FLAGS)

/* State of a thread. Source: "PSS_THREAD_FLAGS enumeration". */
typedef enum PSS_THREAD_FLAGS {
	PSS_THREAD_FLAGS_NONE = 0x0000,
	PSS_THREAD_FLAGS_TERMINATED = 0x0001, /* has ended: a zombie leader */
} PSS_THREAD_FLAGS;
DEFINE_ENUM_FLAG_OPERATORS(PSS_THREAD_FLAGS)

/*
 * The target at the capture, not the clone. Sizes are in bytes. Sources: "PSS_PROCESS_INFORMATION
 * structure"; /proc/PID/stat, status and exe of proc(5).
 */
typedef struct PSS_PROCESS_INFORMATION {
	DWORD ExitStatus;                     /* STILL_ACTIVE, or the exit code of a zombie */
	void *PebBaseAddress;                 /* the dynamic loader's _r_debug, or NULL */
	ULONG_PTR AffinityMask;               /* CPUs 0 to 63 */
	LONG BasePriority;                    /* Windows' level for policy and nice value */
	DWORD ProcessId;                      /* in the caller's PID namespace */
	DWORD ParentProcessId;                /* likewise; 0 if outside */
	PSS_PROCESS_FLAGS Flags;              /* PSS_PROCESS_FLAGS_* */
	FILETIME CreateTime;                  /* instant; with the id it names the process */
	FILETIME ExitTime;                    /* instant; 0 while it runs */
	FILETIME KernelTime;                  /* duration on the CPU in the kernel */
	FILETIME UserTime;                    /* duration on the CPU in user mode */
	DWORD PriorityClass;                  /* *_PRIORITY_CLASS */
	ULONG_PTR PeakVirtualSize;            /* VmPeak */
	ULONG_PTR VirtualSize;                /* VmSize */
	DWORD PageFaultCount;                 /* minor and major faults */
	ULONG_PTR PeakWorkingSetSize;         /* VmHWM */
	ULONG_PTR WorkingSetSize;             /* VmRSS */
	ULONG_PTR QuotaPeakPagedPoolUsage;    /* 0 */
	ULONG_PTR QuotaPagedPoolUsage;        /* 0 */
	ULONG_PTR QuotaPeakNonPagedPoolUsage; /* 0, or as below */
	ULONG_PTR QuotaNonPagedPoolUsage;     /* page tables, VmPTE */
	ULONG_PTR PagefileUsage;              /* RssAnon and VmSwap */
	ULONG_PTR PeakPagefileUsage;          /* at least PagefileUsage */
	ULONG_PTR PrivateUsage;               /* the same as PagefileUsage */
	DWORD ExecuteFlags;                   /* 0 */
	WCHAR ImageFileName[MAX_PATH];        /* the executable; terminated, whole characters */
} PSS_PROCESS_INFORMATION;

/* Source: "PSS_VA_CLONE_INFORMATION structure". */
typedef struct PSS_VA_CLONE_INFORMATION {
	/*
	 * Stands for the clone in ReadProcessMemory, VirtualQueryEx, GetProcessId and
	 * TerminateProcess. Belongs to the snapshot: the same value at each query, closed by
	 * PssFreeSnapshot. Closing it earlier, or copying it with DuplicateHandle, is allowed.
	 */
	HANDLE VaCloneHandle;
} PSS_VA_CLONE_INFORMATION;

/* Source: "PSS_AUXILIARY_PAGES_INFORMATION structure". */
typedef struct PSS_AUXILIARY_PAGES_INFORMATION {
	DWORD AuxPagesCaptured; /* entries of PSS_WALK_AUXILIARY_PAGES */
} PSS_AUXILIARY_PAGES_INFORMATION;

/* Source: "PSS_VA_SPACE_INFORMATION structure". */
typedef struct PSS_VA_SPACE_INFORMATION {
	DWORD RegionCount; /* entries of PSS_WALK_VA_SPACE */
} PSS_VA_SPACE_INFORMATION;

/* Source: "PSS_HANDLE_INFORMATION structure". */
typedef struct PSS_HANDLE_INFORMATION {
	DWORD HandlesCaptured; /* entries of PSS_WALK_HANDLES */
} PSS_HANDLE_INFORMATION;

/* Source: "PSS_THREAD_INFORMATION structure". */
typedef struct PSS_THREAD_INFORMATION {
	DWORD ThreadsCaptured; /* entries of PSS_WALK_THREADS, ended threads among them */
	DWORD ContextLength;   /* bytes of one ContextRecord; 0 without THREAD_CONTEXT */
} PSS_THREAD_INFORMATION;

/* Source: "PSS_HANDLE_TRACE_INFORMATION structure". Never filled on Linux. */
typedef struct PSS_HANDLE_TRACE_INFORMATION {
	HANDLE SectionHandle; /* shared memory with the trace */
	DWORD Size;           /* bytes of the trace */
} PSS_HANDLE_TRACE_INFORMATION;

/*
 * What the capture cost. Cycles are ticks of the processor's time counter (TSC, CNTVCT_EL0);
 * periods are microseconds (PSS_PERF_RESOLUTION). Total is at least the sum of the parts. Source:
 * "PSS_PERFORMANCE_COUNTERS structure".
 */
typedef struct PSS_PERFORMANCE_COUNTERS {
	UINT64 TotalCycleCount;
	UINT64 TotalWallClockPeriod;
	UINT64 VaCloneCycleCount;
	UINT64 VaCloneWallClockPeriod;
	UINT64 VaSpaceCycleCount;
	UINT64 VaSpaceWallClockPeriod;
	UINT64 AuxPagesCycleCount;
	UINT64 AuxPagesWallClockPeriod;
	UINT64 HandlesCycleCount;
	UINT64 HandlesWallClockPeriod;
	UINT64 ThreadsCycleCount;
	UINT64 ThreadsWallClockPeriod;
} PSS_PERFORMANCE_COUNTERS;

/*
 * A page copied aside because a clone cannot hold it: vvar, MADV_DONTFORK memory. Source:
 * "PSS_AUXILIARY_PAGE_ENTRY structure".
 */
typedef struct PSS_AUXILIARY_PAGE_ENTRY {
	void *Address;                             /* in the target */
	MEMORY_BASIC_INFORMATION BasicInformation; /* the region it lies in */
	FILETIME CaptureTime;                      /* instant */
	void *PageContents; /* the copy, or NULL; lives until PssWalkMarkerFree */
	DWORD PageSize;     /* bytes at PageContents */
} PSS_AUXILIARY_PAGE_ENTRY;

/*
 * A region of the target's memory. The fields from TimeDateStamp on are filled with
 * PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION, and the first four of them for MEM_IMAGE only. Sources:
 * "PSS_VA_SPACE_ENTRY structure"; /proc/PID/maps of proc(5); elf(5).
 */
typedef struct PSS_VA_SPACE_ENTRY {
	void *BaseAddress;           /* first byte */
	void *AllocationBase;        /* lowest mapping of the same object in this group */
	DWORD AllocationProtect;     /* PAGE_* */
	ULONG_PTR RegionSize;        /* bytes */
	DWORD State;                 /* MEM_COMMIT or MEM_RESERVE */
	DWORD Protect;               /* PAGE_* */
	DWORD Type;                  /* MEM_PRIVATE, MEM_MAPPED or MEM_IMAGE */
	DWORD TimeDateStamp;         /* first four bytes of the build ID */
	DWORD SizeOfImage;           /* bytes that the loadable segments span */
	void *ImageBase;             /* address the file asks for, not where it lies */
	DWORD CheckSum;              /* 0 */
	WORD MappedFileNameLength;   /* bytes, without terminator */
	WCHAR const *MappedFileName; /* terminated; lives until PssWalkMarkerFree */
} PSS_VA_SPACE_ENTRY;

/*
 * An open descriptor of the target. Flags says which groups of fields are filled; the others are
 * zero. Sources: "PSS_HANDLE_ENTRY structure"; /proc/PID/fd and fdinfo of proc(5).
 */
typedef struct PSS_HANDLE_ENTRY {
	HANDLE Handle;              /* the number of the descriptor in the target; 0 is one */
	PSS_HANDLE_FLAGS Flags;     /* PSS_HANDLE_HAVE_* */
	PSS_OBJECT_TYPE ObjectType; /* selects the arm of TypeSpecificInformation */
	FILETIME CaptureTime;       /* instant */
	DWORD Attributes;           /* OBJ_INHERIT unless close-on-exec */
	DWORD GrantedAccess;        /* FILE_GENERIC_READ and WRITE by the open mode */
	DWORD HandleCount;          /* 1 */
	DWORD PointerCount;         /* 1 */
	DWORD PagedPoolCharge;      /* 0 */
	DWORD NonPagedPoolCharge;   /* 0 */
	FILETIME CreationTime;      /* 0 */
	WORD TypeNameLength;        /* bytes, without terminator */
	WCHAR const *TypeName;      /* "File", "Socket", ...; lives until PssWalkMarkerFree */
	WORD ObjectNameLength;      /* bytes, without terminator */
	WCHAR const *ObjectName;    /* path or address; lives until PssWalkMarkerFree */
	union {
		struct {
			DWORD ExitStatus;     /* STILL_ACTIVE, or as in PSS_PROCESS_INFORMATION */
			void *PebBaseAddress; /* NULL */
			ULONG_PTR AffinityMask;
			LONG BasePriority;
			DWORD ProcessId;
			DWORD ParentProcessId;
			DWORD Flags; /* PSS_PROCESS_FLAGS_* */
		} Process;
		struct {
			DWORD ExitStatus;     /* of the thread */
			void *TebBaseAddress; /* NULL */
			DWORD ProcessId;
			DWORD ThreadId;
			ULONG_PTR AffinityMask;
			int Priority;
			int BasePriority;
			void *Win32StartAddress; /* NULL */
		} Thread;
		struct {
			LONG CurrentCount;
			BOOL Abandoned;
			DWORD OwnerProcessId;
			DWORD OwnerThreadId;
		} Mutant;
		struct {
			BOOL ManualReset; /* TRUE: an eventfd stays readable until it is read */
			BOOL Signaled;    /* its counter is not zero */
		} Event;
		struct {
			void *BaseAddress;          /* NULL */
			DWORD AllocationAttributes; /* 0 */
			LARGE_INTEGER MaximumSize;  /* bytes */
		} Section;
		struct {
			LONG CurrentCount;
			LONG MaximumCount;
		} Semaphore;
	} TypeSpecificInformation;
} PSS_HANDLE_ENTRY;

/*
 * A thread of the target. Sources: "PSS_THREAD_ENTRY structure"; /proc/PID/task/TID/stat and
 * syscall of proc(5); ptrace(2).
 */
typedef struct PSS_THREAD_ENTRY {
	DWORD ExitStatus;               /* STILL_ACTIVE unless TERMINATED */
	void *TebBaseAddress;           /* thread pointer: fs base, TPIDR_EL0 */
	DWORD ProcessId;                /* of the target */
	DWORD ThreadId;                 /* in the caller's PID namespace */
	ULONG_PTR AffinityMask;         /* CPUs 0 to 63 */
	int Priority;                   /* Windows' level for the current priority */
	int BasePriority;               /* Windows' level for policy and nice value */
	void *LastSyscallFirstArgument; /* of the system call it is in */
	WORD LastSyscallNumber;         /* its number on this architecture; 0 if in none */
	FILETIME CreateTime;            /* instant */
	FILETIME ExitTime;              /* instant; 0 unless known */
	FILETIME KernelTime;            /* duration */
	FILETIME UserTime;              /* duration */
	void *Win32StartAddress;        /* NULL: Linux does not keep it */
	FILETIME CaptureTime;           /* instant */
	PSS_THREAD_FLAGS Flags;         /* PSS_THREAD_FLAGS_* */
	WORD SuspendCount;        /* 1 if job control had it stopped; our stop is not counted */
	WORD SizeOfContextRecord; /* bytes; 0 if no registers were taken */
	PCONTEXT ContextRecord;   /* 16-byte aligned; lives until PssWalkMarkerFree */
} PSS_THREAD_ENTRY;

/*
 * The name of a thread. In the order of PSS_WALK_THREADS. Sources: newer headers; comm of proc(5).
 */
typedef struct PSS_THREAD_NAME {
	WORD ThreadNameSize;     /* bytes, without terminator */
	WCHAR const *ThreadName; /* terminated; lives until PssWalkMarkerFree */
} PSS_THREAD_NAME;

/*
 * Where a walk marker takes its memory from. The structure must outlive the marker. The routines
 * are called from PssWalkMarkerCreate, PssWalkSnapshot and PssWalkMarkerFree, on the caller's
 * thread; they must not call back into that marker. Source: "PSS_ALLOCATOR structure".
 */
typedef struct PSS_ALLOCATOR {
	void *Context; /* handed to both routines */
	/* returns Size bytes, or NULL */
	void *(WINAPI *AllocRoutine)(void *Context, DWORD Size);
	/* gives a block back; Address may be NULL */
	void(WINAPI *FreeRoutine)(void *Context, void *Address);
} PSS_ALLOCATOR;

/*
 * Captures a process into a new snapshot. ProcessHandle is a pidfd or GetCurrentProcess().
 * ThreadContextFlags is a CONTEXT_* set, used with PSS_CAPTURE_THREAD_CONTEXT; 0 if not wanted. The
 * caller frees *SnapshotHandle with PssFreeSnapshot. The target goes on unharmed whatever happens.
 *
 * Needs the right to ptrace(2) for VA_CLONE, THREAD_CONTEXT, HANDLES and parts of VA_SPACE; a
 * refusal gives ERROR_ACCESS_DENIED, and PssxErrorText() of procsnap.h tells why.
 * ERROR_INVALID_HANDLE: not a process. ERROR_INVALID_PARAMETER: unknown or reserved flags, no room
 * for the result, or the process is gone. ERROR_TIMEOUT: a thread could not be stopped.
 * ERROR_NOT_SUPPORTED: the kernel, or this target, does not allow it. Source: "PssCaptureSnapshot
 * function".
 */
PSSAPI DWORD WINAPI PssCaptureSnapshot(HANDLE ProcessHandle, PSS_CAPTURE_FLAGS CaptureFlags,
				       DWORD ThreadContextFlags, HPSS *SnapshotHandle);

/*
 * Copies a snapshot that process SourceProcessHandle holds into process TargetProcessHandle.
 * *TargetSnapshotHandle gets the value that is valid there. The copy does not depend on the source.
 * Checked in this order: ERROR_INVALID_HANDLE (source process, snapshot, target process),
 * ERROR_INVALID_PARAMETER (flags, TargetSnapshotHandle), ERROR_NOT_SUPPORTED
 * (PSS_DUPLICATE_CLOSE_SOURCE of a snapshot made without PSS_CREATE_USE_VM_ALLOCATIONS). Then the
 * source is freed if PSS_DUPLICATE_CLOSE_SOURCE asks for it, even if copying fails:
 * ERROR_ACCESS_DENIED, ERROR_BUSY (the process is traced), ERROR_TOO_MANY_OPEN_FILES, .... Sources:
 * "PssDuplicateSnapshot function"; pidfd_getfd(2).
 */
PSSAPI DWORD WINAPI PssDuplicateSnapshot(HANDLE SourceProcessHandle, HPSS SnapshotHandle,
					 HANDLE TargetProcessHandle, HPSS *TargetSnapshotHandle,
					 PSS_DUPLICATE_FLAGS Flags);

/*
 * Frees a snapshot. ProcessHandle is the process that holds it, usually GetCurrentProcess(), never
 * the captured one. Closes the VaCloneHandle if the caller has not; the clone ends with the last
 * descriptor of the snapshot. ERROR_INVALID_HANDLE: not a process, or not a snapshot of that
 * process. ERROR_NOT_SUPPORTED: another process has captured the snapshot itself, and without
 * PSS_CREATE_USE_VM_ALLOCATIONS. What another process has been given by PssDuplicateSnapshot can
 * be freed there in any case; a VaCloneHandle that it has queried keeps the clone until it calls
 * the library again, or ends. Source: "PssFreeSnapshot function".
 */
PSSAPI DWORD WINAPI PssFreeSnapshot(HANDLE ProcessHandle, HPSS SnapshotHandle);

/*
 * Copies one piece of information into Buffer. BufferLength must be exactly the structure's size.
 * Checked in this order: ERROR_INVALID_HANDLE, ERROR_INVALID_PARAMETER (class), ERROR_BAD_LENGTH,
 * ERROR_NOT_FOUND (not captured). Source: "PssQuerySnapshot function".
 */
PSSAPI DWORD WINAPI PssQuerySnapshot(HPSS SnapshotHandle,
				     PSS_QUERY_INFORMATION_CLASS InformationClass, void *Buffer,
				     DWORD BufferLength);

/*
 * Copies the next entry of a kind into Buffer and moves the marker on, in the order of capture.
 * BufferLength must be exactly the structure's size. The marker keeps a position for each kind.
 * Pointers in an entry stay valid until PssWalkMarkerFree, even if the snapshot is freed before.
 *
 * Checked in this order: ERROR_INVALID_HANDLE (snapshot, marker), ERROR_INVALID_PARAMETER (class),
 * ERROR_BAD_LENGTH, ERROR_NOT_FOUND (kind not captured), ERROR_NO_MORE_ITEMS (at the end),
 * ERROR_MORE_DATA (Buffer is NULL and there is an entry; the marker does not move),
 * ERROR_NOT_ENOUGH_MEMORY. Source: "PssWalkSnapshot function".
 */
PSSAPI DWORD WINAPI PssWalkSnapshot(HPSS SnapshotHandle,
				    PSS_WALK_INFORMATION_CLASS InformationClass,
				    HPSSWALK WalkMarkerHandle, void *Buffer, DWORD BufferLength);

/*
 * Makes a walk marker at the beginning. Allocator may be NULL: the default heap. The caller frees
 * *WalkMarkerHandle with PssWalkMarkerFree. A marker belongs to no snapshot, but walking two
 * snapshots with one marker needs PssWalkMarkerSeekToBeginning between them.
 * ERROR_INVALID_PARAMETER: a routine or the result pointer is NULL. ERROR_NOT_ENOUGH_MEMORY.
 * Source: "PssWalkMarkerCreate function".
 */
PSSAPI DWORD WINAPI PssWalkMarkerCreate(PSS_ALLOCATOR const *Allocator, HPSSWALK *WalkMarkerHandle);

/*
 * Frees a marker and everything that walks with it handed out. ERROR_INVALID_HANDLE: not a marker.
 * Source: "PssWalkMarkerFree function".
 */
PSSAPI DWORD WINAPI PssWalkMarkerFree(HPSSWALK WalkMarkerHandle);

/*
 * Stores the marker's position, an opaque value for PssWalkMarkerSetPosition of the same marker. It
 * covers the kinds of data together. ERROR_INVALID_HANDLE: not a marker. ERROR_INVALID_PARAMETER:
 * Position is NULL. ERROR_NOT_ENOUGH_MEMORY. Source: "PssWalkMarkerGetPosition function".
 */
PSSAPI DWORD WINAPI PssWalkMarkerGetPosition(HPSSWALK WalkMarkerHandle, ULONG_PTR *Position);

/*
 * Goes back, or forth, to a position of this marker. ERROR_INVALID_HANDLE: not a marker.
 * ERROR_INVALID_PARAMETER: Position is no position. Source: "PssWalkMarkerSetPosition
 * function".
 */
PSSAPI DWORD WINAPI PssWalkMarkerSetPosition(HPSSWALK WalkMarkerHandle, ULONG_PTR Position);

/*
 * Goes to the position of a new marker, for every kind of data. What was handed out stays valid.
 * ERROR_INVALID_HANDLE: not a marker. Source: "PssWalkMarkerSeekToBeginning function".
 */
PSSAPI DWORD WINAPI PssWalkMarkerSeekToBeginning(HPSSWALK WalkMarkerHandle);

#ifdef __cplusplus
}
#endif

#endif /* PSS_PROCESSSNAPSHOT_H */
