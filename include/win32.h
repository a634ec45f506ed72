/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of Win32 that programs need around the process snapshot functions: base types, error
 * codes, register contexts and a few process functions. Sizes, offsets and values are those of
 * 64-bit Windows. Nothing else of Win32 is here.
 */
#ifndef PSS_WIN32_H
#define PSS_WIN32_H

#include <stddef.h>
#include <stdint.h>
#include <uchar.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "procsnap supports x86-64 and aarch64"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Marks an exported function. */
#ifndef PSSAPI
#define PSSAPI __attribute__((visibility("default")))
#endif

/* Calling conventions: 64-bit Windows has one, and so has Linux. */
#define WINAPI
#define CALLBACK
#define APIENTRY

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef CONST
#define CONST const
#endif
#ifndef VOID
#define VOID void
#endif

/*
 * Base types. Source: "Windows Data Types". LONG, DWORD and BOOL have 32 bits, unlike Linux' long;
 * pointers and SIZE_T have 64.
 */
typedef char CHAR;
typedef uint8_t BYTE;
typedef uint8_t UCHAR;
typedef uint8_t BOOLEAN;
typedef int16_t SHORT;
typedef uint16_t USHORT;
typedef uint16_t WORD;
typedef int INT;
typedef unsigned int UINT;
typedef int32_t BOOL;
typedef int32_t LONG;
typedef uint32_t ULONG;
typedef uint32_t ULONG32;
typedef uint32_t DWORD;
typedef int64_t LONGLONG;
typedef int64_t LONG64;
typedef int64_t INT64;
typedef uint64_t ULONGLONG;
typedef uint64_t ULONG64;
typedef uint64_t DWORD64;
typedef uint64_t UINT64;
typedef intptr_t LONG_PTR;
typedef intptr_t INT_PTR;
typedef uintptr_t ULONG_PTR;
typedef uintptr_t UINT_PTR;
typedef uintptr_t DWORD_PTR;
typedef size_t SIZE_T;
typedef int32_t HRESULT; /* negative: failed */

/*
 * A UTF-16 unit: 16 bits, as on Windows, so not Linux' wchar_t. Write literals as u"text". The
 * functions PssxUtf16ToUtf8 and PssxUtf8ToUtf16 of procsnap.h convert.
 */
typedef char16_t WCHAR;

typedef void *PVOID;
typedef void *LPVOID;
typedef void const *LPCVOID;
typedef CHAR *PSTR;
typedef CHAR *LPSTR;
typedef CHAR const *PCSTR;
typedef CHAR const *LPCSTR;
typedef WCHAR *PWSTR;
typedef WCHAR *LPWSTR;
typedef WCHAR const *PCWSTR;
typedef WCHAR const *LPCWSTR;
typedef BYTE *PBYTE;
typedef BYTE *LPBYTE;
typedef BOOL *PBOOL;
typedef BOOL *LPBOOL;
typedef WORD *PWORD;
typedef LONG *PLONG;
typedef ULONG *PULONG;
typedef DWORD *PDWORD;
typedef DWORD *LPDWORD;
typedef DWORD64 *PDWORD64;
typedef ULONG64 *PULONG64;
typedef SIZE_T *PSIZE_T;
typedef ULONG_PTR *PULONG_PTR;

/*
 * A HANDLE is a file descriptor: (HANDLE)(intptr_t)fd. A process HANDLE is a pidfd, made by
 * OpenProcess or by the caller with pidfd_open(2). NULL is never a valid HANDLE, so the functions
 * here never hand out descriptors 0 to 2. Sources: "Windows Data Types", pidfd_open(2).
 */
typedef void *HANDLE;
typedef HANDLE *PHANDLE;
typedef HANDLE *LPHANDLE;

/* Not a handle. The same number as GetCurrentProcess(), as on Windows. */
#define INVALID_HANDLE_VALUE ((HANDLE)(LONG_PTR)-1)

/* Declares a handle type that the compiler tells from all others. */
#define DECLARE_HANDLE(name)                                                                       \
	struct name##__ {                                                                          \
		int unused;                                                                        \
	};                                                                                         \
	typedef struct name##__ *name

/* Length of ImageFileName and of other classic path buffers, in UTF-16 units. */
#define MAX_PATH 260

/*
 * In C++, gives an enumeration of flags the operators | & ^ ~ and their assigning forms, so that a
 * combination keeps its type. Does nothing in C. Source: the macro of this name in winnt.h.
 */
#ifdef __cplusplus
#define DEFINE_ENUM_FLAG_OPERATORS(type)                                                           \
	extern "C++" {                                                                             \
	inline type operator|(type a, type b)                                                      \
	{                                                                                          \
		return static_cast<type>(static_cast<DWORD>(a) | static_cast<DWORD>(b));           \
	}                                                                                          \
	inline type operator&(type a, type b)                                                      \
	{                                                                                          \
		return static_cast<type>(static_cast<DWORD>(a) & static_cast<DWORD>(b));           \
	}                                                                                          \
	inline type operator^(type a, type b)                                                      \
	{                                                                                          \
		return static_cast<type>(static_cast<DWORD>(a) ^ static_cast<DWORD>(b));           \
	}                                                                                          \
	inline type operator~(type a)                                                              \
	{                                                                                          \
		return static_cast<type>(~static_cast<DWORD>(a));                                  \
	}                                                                                          \
	inline type &operator|=(type &a, type b)                                                   \
	{                                                                                          \
		return a = a | b;                                                                  \
	}                                                                                          \
	inline type &operator&=(type &a, type b)                                                   \
	{                                                                                          \
		return a = a & b;                                                                  \
	}                                                                                          \
	inline type &operator^=(type &a, type b)                                                   \
	{                                                                                          \
		return a = a ^ b;                                                                  \
	}                                                                                          \
	}
#else
#define DEFINE_ENUM_FLAG_OPERATORS(type)
#endif

/*
 * A time in ticks of 100 ns, cut into two halves; 4-byte aligned, so never read it as a 64-bit
 * integer in place. An instant counts from 1601-01-01 00:00 UTC (the Unix epoch is tick
 * 116444736000000000); a duration counts from zero. Each field says which it is. Source: "FILETIME
 * structure".
 */
typedef struct FILETIME {
	DWORD dwLowDateTime;  /* low 32 bits */
	DWORD dwHighDateTime; /* high 32 bits */
} FILETIME, *PFILETIME, *LPFILETIME;

/* A signed 64-bit number, whole or in halves. Source: "LARGE_INTEGER union". */
typedef union LARGE_INTEGER {
	__extension__ struct {
		DWORD LowPart;
		LONG HighPart;
	};
	struct {
		DWORD LowPart;
		LONG HighPart;
	} u;
	LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

/*
 * One region of an address space: neighbouring pages alike in state, protection and type. Sources:
 * "MEMORY_BASIC_INFORMATION structure"; /proc/PID/maps and smaps of proc(5).
 */
typedef struct MEMORY_BASIC_INFORMATION {
	PVOID BaseAddress;       /* first byte of the region */
	PVOID AllocationBase;    /* first byte of the mapping group it belongs to */
	DWORD AllocationProtect; /* PAGE_*; the current one, as Linux does not keep the first */
	WORD PartitionId;        /* 0 */
	SIZE_T RegionSize;       /* bytes */
	DWORD State;             /* MEM_COMMIT, MEM_RESERVE or MEM_FREE */
	DWORD Protect;           /* PAGE_* */
	DWORD Type;              /* MEM_PRIVATE, MEM_MAPPED or MEM_IMAGE */
} MEMORY_BASIC_INFORMATION, *PMEMORY_BASIC_INFORMATION;

/* A 128-bit register in two halves. Source: winnt.h. */
typedef struct __attribute__((aligned(16))) M128A {
	ULONGLONG Low;
	LONGLONG High;
} M128A, *PM128A;

/*
 * The image that the FXSAVE instruction stores: x87 and SSE state. Sources: winnt.h; "Intel 64 and
 * IA-32 Architectures Software Developer's Manual", FXSAVE.
 */
typedef struct __attribute__((aligned(16))) XMM_SAVE_AREA32 {
	WORD ControlWord;
	WORD StatusWord;
	BYTE TagWord;
	BYTE Reserved1;
	WORD ErrorOpcode;
	DWORD ErrorOffset;
	WORD ErrorSelector;
	WORD Reserved2;
	DWORD DataOffset;
	WORD DataSelector;
	WORD Reserved3;
	DWORD MxCsr;
	DWORD MxCsr_Mask;
	M128A FloatRegisters[8];
	M128A XmmRegisters[16];
	BYTE Reserved4[96];
} XMM_SAVE_AREA32, *PXMM_SAVE_AREA32;

/*
 * Registers of an x86-64 thread, 1232 bytes. ContextFlags says which groups are filled; the others
 * are zero. The P1Home to P6Home, debug control and last branch fields are always zero here.
 * Sources: "CONTEXT structure (winnt.h)"; ptrace(2) PTRACE_GETREGSET with NT_PRSTATUS and
 * NT_PRFPREG. Known as CONTEXT on x86-64.
 */
typedef struct __attribute__((aligned(16))) AMD64_NT_CONTEXT {
	DWORD64 P1Home;
	DWORD64 P2Home;
	DWORD64 P3Home;
	DWORD64 P4Home;
	DWORD64 P5Home;
	DWORD64 P6Home;
	DWORD ContextFlags; /* CONTEXT_* of x86-64 */
	DWORD MxCsr;
	/* CONTEXT_SEGMENTS; SegCs, SegSs and EFlags belong to CONTEXT_CONTROL */
	WORD SegCs;
	WORD SegDs;
	WORD SegEs;
	WORD SegFs;
	WORD SegGs;
	WORD SegSs;
	DWORD EFlags;
	/* CONTEXT_DEBUG_REGISTERS */
	DWORD64 Dr0;
	DWORD64 Dr1;
	DWORD64 Dr2;
	DWORD64 Dr3;
	DWORD64 Dr6;
	DWORD64 Dr7;
	/* CONTEXT_INTEGER; Rsp and Rip belong to CONTEXT_CONTROL */
	DWORD64 Rax;
	DWORD64 Rcx;
	DWORD64 Rdx;
	DWORD64 Rbx;
	DWORD64 Rsp;
	DWORD64 Rbp;
	DWORD64 Rsi;
	DWORD64 Rdi;
	DWORD64 R8;
	DWORD64 R9;
	DWORD64 R10;
	DWORD64 R11;
	DWORD64 R12;
	DWORD64 R13;
	DWORD64 R14;
	DWORD64 R15;
	DWORD64 Rip;
	/* CONTEXT_FLOATING_POINT */
	__extension__ union {
		XMM_SAVE_AREA32 FltSave;
		__extension__ struct {
			M128A Header[2];
			M128A Legacy[8];
			M128A Xmm0;
			M128A Xmm1;
			M128A Xmm2;
			M128A Xmm3;
			M128A Xmm4;
			M128A Xmm5;
			M128A Xmm6;
			M128A Xmm7;
			M128A Xmm8;
			M128A Xmm9;
			M128A Xmm10;
			M128A Xmm11;
			M128A Xmm12;
			M128A Xmm13;
			M128A Xmm14;
			M128A Xmm15;
		};
	};
	M128A VectorRegister[26];
	DWORD64 VectorControl;
	DWORD64 DebugControl;
	DWORD64 LastBranchToRip;
	DWORD64 LastBranchFromRip;
	DWORD64 LastExceptionToRip;
	DWORD64 LastExceptionFromRip;
} AMD64_NT_CONTEXT, *PAMD64_NT_CONTEXT;

/* One vector register of ARM64 in its views. Source: winnt.h. */
typedef union ARM64_NT_NEON128 {
	__extension__ struct {
		ULONGLONG Low;
		LONGLONG High;
	};
	double D[2];
	float S[4];
	WORD H[8];
	BYTE B[16];
} ARM64_NT_NEON128, *PARM64_NT_NEON128;

/* How many hardware breakpoints and watchpoints an ARM64 context can hold. */
#define ARM64_MAX_BREAKPOINTS 8
#define ARM64_MAX_WATCHPOINTS 2

/*
 * Registers of an ARM64 thread, 912 bytes. ContextFlags says which groups are filled; the others
 * are zero. Sources: "ARM64_NT_CONTEXT structure (winnt.h)"; ptrace(2) PTRACE_GETREGSET with
 * NT_PRSTATUS and NT_PRFPREG. Known as CONTEXT on aarch64.
 */
typedef struct __attribute__((aligned(16))) ARM64_NT_CONTEXT {
	DWORD ContextFlags; /* CONTEXT_ARM64_* */
	DWORD Cpsr;         /* CONTEXT_ARM64_CONTROL */
	/* X0-X28: CONTEXT_ARM64_INTEGER; Fp, Lr, Sp and Pc: CONTEXT_ARM64_CONTROL */
	__extension__ union {
		__extension__ struct {
			DWORD64 X0;
			DWORD64 X1;
			DWORD64 X2;
			DWORD64 X3;
			DWORD64 X4;
			DWORD64 X5;
			DWORD64 X6;
			DWORD64 X7;
			DWORD64 X8;
			DWORD64 X9;
			DWORD64 X10;
			DWORD64 X11;
			DWORD64 X12;
			DWORD64 X13;
			DWORD64 X14;
			DWORD64 X15;
			DWORD64 X16;
			DWORD64 X17;
			DWORD64 X18;
			DWORD64 X19;
			DWORD64 X20;
			DWORD64 X21;
			DWORD64 X22;
			DWORD64 X23;
			DWORD64 X24;
			DWORD64 X25;
			DWORD64 X26;
			DWORD64 X27;
			DWORD64 X28;
			DWORD64 Fp;
			DWORD64 Lr;
		};
		DWORD64 X[31];
	};
	DWORD64 Sp;
	DWORD64 Pc;
	/* CONTEXT_ARM64_FLOATING_POINT */
	ARM64_NT_NEON128 V[32];
	DWORD Fpcr;
	DWORD Fpsr;
	/* CONTEXT_ARM64_DEBUG_REGISTERS */
	DWORD Bcr[ARM64_MAX_BREAKPOINTS];
	DWORD64 Bvr[ARM64_MAX_BREAKPOINTS];
	DWORD Wcr[ARM64_MAX_WATCHPOINTS];
	DWORD64 Wvr[ARM64_MAX_WATCHPOINTS];
} ARM64_NT_CONTEXT, *PARM64_NT_CONTEXT;

/* The registers of a thread of this machine's architecture. */
#if defined(__x86_64__)
typedef AMD64_NT_CONTEXT CONTEXT;
#else
typedef ARM64_NT_CONTEXT CONTEXT;
#endif
typedef CONTEXT *PCONTEXT;

/*
 * Groups of registers, for ContextFlags. The names with AMD64 and ARM64 exist everywhere; the short
 * names are those of this machine's architecture. Source: winnt.h; the CONTEXT_AMD64_ names are
 * ours, made after the pattern of ARM64's.
 */
#define CONTEXT_AMD64                 0x00100000
#define CONTEXT_AMD64_CONTROL         0x00100001 /* SegSs, Rsp, SegCs, Rip, EFlags */
#define CONTEXT_AMD64_INTEGER         0x00100002 /* the other general registers */
#define CONTEXT_AMD64_SEGMENTS        0x00100004 /* SegDs, SegEs, SegFs, SegGs */
#define CONTEXT_AMD64_FLOATING_POINT  0x00100008 /* x87 and SSE */
#define CONTEXT_AMD64_DEBUG_REGISTERS 0x00100010
#define CONTEXT_AMD64_FULL            0x0010000B
#define CONTEXT_AMD64_ALL             0x0010001F
#define CONTEXT_AMD64_XSTATE          0x00100040
#define CONTEXT_ARM64                 0x00400000
#define CONTEXT_ARM64_CONTROL         0x00400001 /* Fp, Lr, Sp, Pc, Cpsr */
#define CONTEXT_ARM64_INTEGER         0x00400002 /* X0-X28 */
#define CONTEXT_ARM64_FLOATING_POINT  0x00400004 /* V, Fpcr, Fpsr */
#define CONTEXT_ARM64_DEBUG_REGISTERS 0x00400008
#define CONTEXT_ARM64_X18             0x00400010 /* X18, which Windows reserves */
#define CONTEXT_ARM64_FULL            0x00400007
#define CONTEXT_ARM64_ALL             0x0040001F
#if defined(__x86_64__)
#define CONTEXT_CONTROL         CONTEXT_AMD64_CONTROL
#define CONTEXT_INTEGER         CONTEXT_AMD64_INTEGER
#define CONTEXT_SEGMENTS        CONTEXT_AMD64_SEGMENTS
#define CONTEXT_FLOATING_POINT  CONTEXT_AMD64_FLOATING_POINT
#define CONTEXT_DEBUG_REGISTERS CONTEXT_AMD64_DEBUG_REGISTERS
#define CONTEXT_FULL            CONTEXT_AMD64_FULL
#define CONTEXT_ALL             CONTEXT_AMD64_ALL
#define CONTEXT_XSTATE          CONTEXT_AMD64_XSTATE
#else
#define CONTEXT_CONTROL         CONTEXT_ARM64_CONTROL
#define CONTEXT_INTEGER         CONTEXT_ARM64_INTEGER
#define CONTEXT_FLOATING_POINT  CONTEXT_ARM64_FLOATING_POINT
#define CONTEXT_DEBUG_REGISTERS CONTEXT_ARM64_DEBUG_REGISTERS
#define CONTEXT_FULL            CONTEXT_ARM64_FULL
#define CONTEXT_ALL             CONTEXT_ARM64_ALL
#endif
#define CONTEXT_EXCEPTION_ACTIVE    0x08000000
#define CONTEXT_SERVICE_ACTIVE      0x10000000
#define CONTEXT_EXCEPTION_REQUEST   0x40000000
#define CONTEXT_EXCEPTION_REPORTING 0x80000000

/*
 * Error codes. Source: "System Error Codes" and winerror.h; the comment says when a function of
 * this library gives the code.
 */
#define ERROR_SUCCESS              0
#define ERROR_INVALID_FUNCTION     1
#define ERROR_FILE_NOT_FOUND       2
#define ERROR_TOO_MANY_OPEN_FILES  4  /* no free descriptor */
#define ERROR_ACCESS_DENIED        5  /* the kernel refuses: ptrace rights, Yama, seccomp */
#define ERROR_INVALID_HANDLE       6  /* not a descriptor, or not of the right sort */
#define ERROR_NOT_ENOUGH_MEMORY    8  /* no memory for a mapping or a marker */
#define ERROR_BAD_FORMAT           11 /* not an executable of a known form */
#define ERROR_INVALID_DATA         13 /* text of /proc that makes no sense */
#define ERROR_OUTOFMEMORY          14
#define ERROR_BAD_LENGTH           24  /* a buffer is not exactly as long as its structure */
#define ERROR_GEN_FAILURE          31  /* a device says no more than that it failed */
#define ERROR_NOT_SUPPORTED        50  /* this kernel, target or release cannot do it */
#define ERROR_FILE_EXISTS          80  /* a dump never replaces a file unasked */
#define ERROR_INVALID_PARAMETER    87  /* bad flag, class, pointer or process id */
#define ERROR_BROKEN_PIPE          109 /* the reader of a dump went away */
#define ERROR_DISK_FULL            112 /* no room for a dump */
#define ERROR_CALL_NOT_IMPLEMENTED 120
#define ERROR_INSUFFICIENT_BUFFER  122 /* a text does not fit */
#define ERROR_BUSY                 170 /* another debugger or capture holds the target */
#define ERROR_FILE_TOO_LARGE       223 /* a dump passes a limit of file size or format */
#define ERROR_MORE_DATA            234 /* a walk without buffer found an entry */
#define ERROR_NO_MORE_ITEMS        259 /* a walk is at its end; the same number as STILL_ACTIVE */
#define ERROR_PARTIAL_COPY         299 /* part or all of a memory range cannot be read */
#define ERROR_INVALID_ADDRESS      487
#define ERROR_ARITHMETIC_OVERFLOW  534  /* a number does not fit its field */
#define ERROR_NOACCESS             998  /* a pointer of the caller points nowhere */
#define ERROR_PROCESS_ABORTED      1067 /* the helper that does the tracing was killed */
#define ERROR_IO_DEVICE            1117 /* reading or writing failed below us */
#define ERROR_NOT_FOUND            1168 /* the snapshot does not hold that kind of data */
#define ERROR_CANCELLED            1223 /* given up at the caller's wish */
#define ERROR_PRIVILEGE_NOT_HELD   1314
#define ERROR_INTERNAL_ERROR       1359 /* a cause that has no code of its own */
#define ERROR_NO_SYSTEM_RESOURCES  1450 /* a limit of processes, threads or cgroup is reached */
#define ERROR_COMMITMENT_LIMIT     1455
#define ERROR_TIMEOUT              1460 /* the target did not, or would not, stop in time */
#define ERROR_NOT_ENOUGH_QUOTA     1816 /* a limit that protects the target is reached */

/*
 * Results of another sort: what MiniDumpWriteDump leaves as last error, and what its callbacks
 * answer. Source: winerror.h.
 */
#define S_OK           ((HRESULT)0x00000000)
#define S_FALSE        ((HRESULT)0x00000001)
#define E_NOTIMPL      ((HRESULT)0x80004001)
#define E_FAIL         ((HRESULT)0x80004005)
#define E_ACCESSDENIED ((HRESULT)0x80070005)
#define E_OUTOFMEMORY  ((HRESULT)0x8007000E)
#define E_INVALIDARG   ((HRESULT)0x80070057)
#define SUCCEEDED(hr)  (((HRESULT)(hr)) >= 0)
#define FAILED(hr)     (((HRESULT)(hr)) < 0)

/* An error code of the list above as a result of this sort. Source: winerror.h. */
#define FACILITY_WIN32 7
#define HRESULT_FROM_WIN32(x)                                                                      \
	((HRESULT)(x) <= 0 ? (HRESULT)(x) : (HRESULT)(((x)&0x0000FFFFu) | 0x80070000u))

/* Exit code of a process that still runs. Source: "GetExitCodeProcess function". */
#define STILL_ACTIVE 259

/* State of a region. Sources: "MEMORY_BASIC_INFORMATION structure"; proc(5). */
#define MEM_COMMIT  0x00001000 /* mapped */
#define MEM_RESERVE 0x00002000 /* private anonymous, no access, no page */
#define MEM_FREE    0x00010000 /* nothing mapped */

/* Type of a region. Sources as above. */
#define MEM_PRIVATE 0x00020000 /* anonymous memory of the process alone */
#define MEM_MAPPED  0x00040000 /* a file, shared memory or memfd */
#define MEM_IMAGE   0x01000000 /* an ELF object */

/* Protection of a region. Sources: "Memory Protection Constants"; the rwxps column of proc(5). */
#define PAGE_NOACCESS          0x00000001 /* --- */
#define PAGE_READONLY          0x00000002 /* r-- */
#define PAGE_READWRITE         0x00000004 /* rw- */
#define PAGE_WRITECOPY         0x00000008 /* rw- of a private file mapping */
#define PAGE_EXECUTE           0x00000010 /* --x */
#define PAGE_EXECUTE_READ      0x00000020 /* r-x */
#define PAGE_EXECUTE_READWRITE 0x00000040 /* rwx */
#define PAGE_EXECUTE_WRITECOPY 0x00000080 /* rwx of a private file mapping */
#define PAGE_GUARD             0x00000100
#define PAGE_NOCACHE           0x00000200
#define PAGE_WRITECOMBINE      0x00000400

/*
 * Rights for OpenProcess. Linux decides at each operation, not when the handle is made, so these
 * are taken and not stored. Source: "Process Security and Access Rights".
 */
#define PROCESS_TERMINATE                 0x00000001
#define PROCESS_CREATE_THREAD             0x00000002
#define PROCESS_VM_OPERATION              0x00000008
#define PROCESS_VM_READ                   0x00000010
#define PROCESS_VM_WRITE                  0x00000020
#define PROCESS_DUP_HANDLE                0x00000040
#define PROCESS_CREATE_PROCESS            0x00000080
#define PROCESS_SET_QUOTA                 0x00000100
#define PROCESS_SET_INFORMATION           0x00000200
#define PROCESS_QUERY_INFORMATION         0x00000400
#define PROCESS_SUSPEND_RESUME            0x00000800
#define PROCESS_QUERY_LIMITED_INFORMATION 0x00001000
#define PROCESS_ALL_ACCESS                0x001FFFFF

/* Rights that a handle entry reports in GrantedAccess. Source: "File Access Rights Constants". */
#define FILE_GENERIC_READ    0x00120089
#define FILE_GENERIC_WRITE   0x00120116
#define FILE_GENERIC_EXECUTE 0x001200A0

/* In a handle entry's Attributes: an exec(2) keeps the descriptor. Source: ntdef.h. */
#define OBJ_INHERIT 0x00000002

/* Options of DuplicateHandle. Source: "DuplicateHandle function". */
#define DUPLICATE_CLOSE_SOURCE 0x00000001
#define DUPLICATE_SAME_ACCESS  0x00000002

/* Companion of PSS_CREATE_BREAKAWAY. Source: "Process Creation Flags". */
#define CREATE_BREAKAWAY_FROM_JOB 0x01000000

/* Priority classes. Source: "SetPriorityClass function". */
#define NORMAL_PRIORITY_CLASS       0x00000020
#define IDLE_PRIORITY_CLASS         0x00000040
#define HIGH_PRIORITY_CLASS         0x00000080
#define REALTIME_PRIORITY_CLASS     0x00000100
#define BELOW_NORMAL_PRIORITY_CLASS 0x00004000
#define ABOVE_NORMAL_PRIORITY_CLASS 0x00008000

/*
 * Opens a process. dwDesiredAccess is not stored: the kernel checks rights when the handle is used.
 * bInheritHandle other than FALSE lets the handle survive an exec(2) of the caller. The caller
 * closes the handle with CloseHandle or close(2).
 *
 * Returns NULL on failure, with the last-error value ERROR_INVALID_PARAMETER when there is no such
 * process, ERROR_TOO_MANY_OPEN_FILES when no descriptor is free. Sources: "OpenProcess function";
 * pidfd_open(2).
 */
PSSAPI HANDLE WINAPI OpenProcess(DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwProcessId);

/*
 * Returns the pseudo handle of the calling process, (HANDLE)-1. It need not be closed. Source:
 * "GetCurrentProcess function".
 */
PSSAPI HANDLE WINAPI GetCurrentProcess(void);

/* Returns the caller's process id. Sources: "GetCurrentProcessId function"; getpid(2). */
PSSAPI DWORD WINAPI GetCurrentProcessId(void);

/*
 * Returns the process id behind a process handle, seen from the caller's PID namespace. For the
 * VaCloneHandle of a snapshot, and for an HPSS, that is the clone's id, which differs from the
 * target's. Returns 0 on failure: ERROR_INVALID_HANDLE when it is no process handle,
 * ERROR_INVALID_PARAMETER when the process is gone or outside the namespace. Sources: "GetProcessId
 * function"; the Pid line of /proc/self/fdinfo/FD, proc(5).
 */
PSSAPI DWORD WINAPI GetProcessId(HANDLE Process);

/*
 * Closes any handle made here, or any descriptor. The pseudo handle of the current process is
 * accepted and nothing is done. Closing a VaCloneHandle is allowed and not needed: PssFreeSnapshot
 * sees whether it happened. Returns FALSE with ERROR_INVALID_HANDLE when nothing is open there.
 * Sources: "CloseHandle function"; close(2).
 */
PSSAPI BOOL WINAPI CloseHandle(HANDLE hObject);

/*
 * Copies a handle from one process into another, or within the caller; any descriptor is one. The
 * pseudo handle of the current process stands for the source process and becomes a real handle.
 * dwDesiredAccess is ignored; bInheritHandle clears close-on-exec on the copy. A copy of a
 * VaCloneHandle keeps the clone alive and readable after PssFreeSnapshot. DUPLICATE_CLOSE_SOURCE
 * closes the source, even if copying fails, but not if an argument is wrong; with it lpTargetHandle
 * may be NULL, and hTargetProcessHandle is not looked at: the source is just closed. Returns FALSE
 * on failure, with nothing changed otherwise: ERROR_INVALID_HANDLE (a process, or the handle),
 * ERROR_INVALID_PARAMETER (options, lpTargetHandle), ERROR_ACCESS_DENIED, ERROR_BUSY (the process
 * is traced), ERROR_TOO_MANY_OPEN_FILES. Sources: "DuplicateHandle function"; pidfd_getfd(2).
 */
PSSAPI BOOL WINAPI DuplicateHandle(HANDLE hSourceProcessHandle, HANDLE hSourceHandle,
				   HANDLE hTargetProcessHandle, LPHANDLE lpTargetHandle,
				   DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwOptions);

/*
 * Reads nSize bytes at lpBaseAddress of a live process or of a snapshot's clone into lpBuffer.
 * *lpNumberOfBytesRead (may be NULL) gets the number of bytes read. When any part cannot be read
 * nothing is promised about lpBuffer beyond that number, and the result is FALSE with
 * ERROR_PARTIAL_COPY. A snapshot without clone gives ERROR_INVALID_HANDLE. Sources:
 * "ReadProcessMemory function"; /proc/PID/mem of proc(5).
 */
PSSAPI BOOL WINAPI ReadProcessMemory(HANDLE hProcess, LPCVOID lpBaseAddress, LPVOID lpBuffer,
				     SIZE_T nSize, SIZE_T *lpNumberOfBytesRead);

/*
 * Describes the region that holds lpAddress, from the page of lpAddress to its end, in a live
 * process, as it is now, or in a snapshot's clone, as PSS_WALK_VA_SPACE describes it. Between
 * mappings it describes the free range: MEM_FREE, PAGE_NOACCESS, the rest 0. So a scan from 0, each
 * time on by RegionSize, meets each mapping once and ends with ERROR_INVALID_PARAMETER, the answer
 * above user space (a mapping of the kernel's there, [vsyscall], is described if asked for). In a
 * live process each call reads /proc/PID/maps up to the address.
 *
 * Returns the number of bytes written to *lpBuffer, which is the structure's size, or 0:
 * ERROR_BAD_LENGTH when dwLength is too small, ERROR_ACCESS_DENIED when the process may not be
 * looked at or has no address space any more, which goes for a clone that was terminated, too.
 * Sources: "VirtualQueryEx function"; /proc/PID/maps of proc(5).
 */
PSSAPI SIZE_T WINAPI VirtualQueryEx(HANDLE hProcess, LPCVOID lpAddress,
				    PMEMORY_BASIC_INFORMATION lpBuffer, SIZE_T dwLength);

/*
 * Ends a process at once. Linux cannot choose the exit code of another process, so uExitCode is
 * ignored. Given a VaCloneHandle it ends the clone; the snapshot stays valid and its memory becomes
 * unreadable. Returns FALSE with ERROR_ACCESS_DENIED when not permitted or already ended, reaped or
 * not. Sources: "TerminateProcess function"; pidfd_send_signal(2) with SIGKILL.
 */
PSSAPI BOOL WINAPI TerminateProcess(HANDLE hProcess, UINT uExitCode);

/*
 * Tells how a process ended: STILL_ACTIVE while any thread of it runs, the exit code after an exit,
 * 128 plus the signal's number after death by a signal. Of a VaCloneHandle it tells the clone's
 * end. Nothing is reaped. Once the parent has reaped it, Linux knows the code since 6.15, for
 * handles opened before; else, and for a clone that is gone, FALSE with ERROR_NOT_FOUND.
 * ERROR_ACCESS_DENIED when it is a zombie of another user. Sources: "GetExitCodeProcess function";
 * waitid(2) with WNOWAIT; /proc/PID/stat of proc(5); PIDFD_GET_INFO of pidfd_open(2).
 */
PSSAPI BOOL WINAPI GetExitCodeProcess(HANDLE hProcess, LPDWORD lpExitCode);

/*
 * Tells when a process began (an instant) and how much CPU time it used in the kernel and in user
 * mode (durations), all threads together. The creation time is the value that
 * PSS_PROCESS_INFORMATION.CreateTime has. *lpExitTime is always 0: Linux keeps no time of exit. Of
 * a VaCloneHandle it tells the clone's own times. No pointer may be NULL. Returns FALSE on failure,
 * with nothing written: ERROR_NOT_FOUND when the process was reaped, and its times with it.
 * Sources: "GetProcessTimes function"; clock_getcpuclockid(3); /proc/PID/stat of proc(5).
 */
PSSAPI BOOL WINAPI GetProcessTimes(HANDLE hProcess, LPFILETIME lpCreationTime,
				   LPFILETIME lpExitTime, LPFILETIME lpKernelTime,
				   LPFILETIME lpUserTime);

/*
 * Returns the calling thread's last-error value. Only the functions of this header set it, and only
 * when they fail; the Pss functions return their code instead. Source: "GetLastError function".
 */
PSSAPI DWORD WINAPI GetLastError(void);

/* Sets the calling thread's last-error value. Source: "SetLastError function". */
PSSAPI void WINAPI SetLastError(DWORD dwErrCode);

#ifdef __cplusplus
}
#endif

#endif /* PSS_WIN32_H */
