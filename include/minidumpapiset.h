/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The function that writes minidumps, with the names, values and layouts of 64-bit Windows: what it
 * is given, and what it asks its callback. Structures are packed to 4 bytes. The file itself is
 * described in minidumpfile.h.
 */
#ifndef PSS_MINIDUMPAPISET_H
#define PSS_MINIDUMPAPISET_H

#include "minidumpfile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What has happened to a thread. Source: "EXCEPTION_RECORD structure". */
typedef struct EXCEPTION_RECORD {
	DWORD ExceptionCode;
	DWORD ExceptionFlags;
	struct EXCEPTION_RECORD *ExceptionRecord; /* another one that it came from, or NULL */
	PVOID ExceptionAddress;
	DWORD NumberParameters;
	ULONG_PTR ExceptionInformation[EXCEPTION_MAXIMUM_PARAMETERS];
} EXCEPTION_RECORD, *PEXCEPTION_RECORD;

/* The same with the registers of that moment. Source: "EXCEPTION_POINTERS structure". */
typedef struct EXCEPTION_POINTERS {
	PEXCEPTION_RECORD ExceptionRecord;
	PCONTEXT ContextRecord;
} EXCEPTION_POINTERS, *PEXCEPTION_POINTERS;

#pragma pack(push, 4)

/* A stream of the caller's. Source: "MINIDUMP_USER_STREAM structure". */
typedef struct MINIDUMP_USER_STREAM {
	ULONG32 Type; /* above LastReservedStream, or a comment */
	ULONG BufferSize;
	PVOID Buffer;
} MINIDUMP_USER_STREAM, *PMINIDUMP_USER_STREAM;

typedef struct MINIDUMP_USER_STREAM_INFORMATION {
	ULONG UserStreamCount;
	PMINIDUMP_USER_STREAM UserStreamArray;
} MINIDUMP_USER_STREAM_INFORMATION, *PMINIDUMP_USER_STREAM_INFORMATION;

/* An exception to be told of in the dump. Source: "MINIDUMP_EXCEPTION_INFORMATION structure". */
typedef struct MINIDUMP_EXCEPTION_INFORMATION {
	DWORD ThreadId;
	PEXCEPTION_POINTERS ExceptionPointers;
	BOOL ClientPointers; /* they are addresses in the process that is dumped */
} MINIDUMP_EXCEPTION_INFORMATION, *PMINIDUMP_EXCEPTION_INFORMATION;

/* What the callback is asked. Source: "MINIDUMP_CALLBACK_TYPE enumeration". */
typedef enum MINIDUMP_CALLBACK_TYPE {
	ModuleCallback,
	ThreadCallback,
	ThreadExCallback,
	IncludeThreadCallback,
	IncludeModuleCallback,
	MemoryCallback,
	CancelCallback,
	WriteKernelMinidumpCallback,
	KernelMinidumpStatusCallback,
	RemoveMemoryCallback,
	IncludeVmRegionCallback,
	IoStartCallback,
	IoWriteAllCallback,
	IoFinishCallback,
	ReadMemoryFailureCallback,
	SecondaryFlagsCallback,
	IsProcessSnapshotCallback,
	VmStartCallback,
	VmQueryCallback,
	VmPreReadCallback,
	VmPostReadCallback
} MINIDUMP_CALLBACK_TYPE;

/* What of a thread is written. Source: "THREAD_WRITE_FLAGS enumeration". */
typedef enum THREAD_WRITE_FLAGS {
	ThreadWriteThread = 0x0001,
	ThreadWriteStack = 0x0002,
	ThreadWriteContext = 0x0004,
	ThreadWriteBackingStore = 0x0008,
	ThreadWriteInstructionWindow = 0x0010,
	ThreadWriteThreadData = 0x0020,
	ThreadWriteThreadInfo = 0x0040
} THREAD_WRITE_FLAGS;

/* What of a module is written. Source: "MODULE_WRITE_FLAGS enumeration". */
typedef enum MODULE_WRITE_FLAGS {
	ModuleWriteModule = 0x0001,
	ModuleWriteDataSeg = 0x0002,
	ModuleWriteMiscRecord = 0x0004,
	ModuleWriteCvRecord = 0x0008,
	ModuleReferencedByMemory = 0x0010,
	ModuleWriteTlsData = 0x0020,
	ModuleWriteCodeSegs = 0x0040
} MODULE_WRITE_FLAGS;

/* Source: "MINIDUMP_SECONDARY_FLAGS enumeration". */
typedef enum MINIDUMP_SECONDARY_FLAGS {
	MiniSecondaryWithoutPowerInfo = 0x00000001,
	MiniSecondaryValidFlags = 0x00000001
} MINIDUMP_SECONDARY_FLAGS;

/* A CONTEXT that stands where packing puts it: reading it takes no alignment. */
typedef CONTEXT MINIDUMP_PACKED_CONTEXT __attribute__((aligned(4)));

/* A thread that may go in, and what of it shall. Source: "MINIDUMP_THREAD_CALLBACK structure". */
typedef struct MINIDUMP_THREAD_CALLBACK {
	ULONG ThreadId;
	HANDLE ThreadHandle; /* NULL */
#if defined(__aarch64__)
	ULONG Pad;
#endif
	MINIDUMP_PACKED_CONTEXT Context;
	ULONG SizeOfContext;
	ULONG64 StackBase; /* the highest address */
	ULONG64 StackEnd;  /* the lowest one */
} MINIDUMP_THREAD_CALLBACK, *PMINIDUMP_THREAD_CALLBACK;

typedef struct MINIDUMP_THREAD_EX_CALLBACK {
	ULONG ThreadId;
	HANDLE ThreadHandle;
#if defined(__aarch64__)
	ULONG Pad;
#endif
	MINIDUMP_PACKED_CONTEXT Context;
	ULONG SizeOfContext;
	ULONG64 StackBase;
	ULONG64 StackEnd;
	ULONG64 BackingStoreBase;
	ULONG64 BackingStoreEnd;
} MINIDUMP_THREAD_EX_CALLBACK, *PMINIDUMP_THREAD_EX_CALLBACK;

typedef struct MINIDUMP_INCLUDE_THREAD_CALLBACK {
	ULONG ThreadId;
} MINIDUMP_INCLUDE_THREAD_CALLBACK, *PMINIDUMP_INCLUDE_THREAD_CALLBACK;

typedef struct MINIDUMP_MODULE_CALLBACK {
	PWSTR FullPath;
	ULONG64 BaseOfImage;
	ULONG SizeOfImage;
	ULONG CheckSum;
	ULONG TimeDateStamp;
	VS_FIXEDFILEINFO VersionInfo;
	PVOID CvRecord;
	ULONG SizeOfCvRecord;
	PVOID MiscRecord;
	ULONG SizeOfMiscRecord;
} MINIDUMP_MODULE_CALLBACK, *PMINIDUMP_MODULE_CALLBACK;

typedef struct MINIDUMP_INCLUDE_MODULE_CALLBACK {
	ULONG64 BaseOfImage;
} MINIDUMP_INCLUDE_MODULE_CALLBACK, *PMINIDUMP_INCLUDE_MODULE_CALLBACK;

typedef struct MINIDUMP_IO_CALLBACK {
	HANDLE Handle;  /* the file */
	ULONG64 Offset; /* of the bytes in the dump */
	PVOID Buffer;
	ULONG BufferBytes;
} MINIDUMP_IO_CALLBACK, *PMINIDUMP_IO_CALLBACK;

typedef struct MINIDUMP_READ_MEMORY_FAILURE_CALLBACK {
	ULONG64 Offset; /* an address */
	ULONG Bytes;
	HRESULT FailureStatus;
} MINIDUMP_READ_MEMORY_FAILURE_CALLBACK, *PMINIDUMP_READ_MEMORY_FAILURE_CALLBACK;

typedef struct MINIDUMP_VM_QUERY_CALLBACK {
	ULONG64 Offset;
} MINIDUMP_VM_QUERY_CALLBACK, *PMINIDUMP_VM_QUERY_CALLBACK;

typedef struct MINIDUMP_VM_PRE_READ_CALLBACK {
	ULONG64 Offset;
	PVOID Buffer;
	ULONG Size;
} MINIDUMP_VM_PRE_READ_CALLBACK, *PMINIDUMP_VM_PRE_READ_CALLBACK;

typedef struct MINIDUMP_VM_POST_READ_CALLBACK {
	ULONG64 Offset;
	PVOID Buffer;
	ULONG Size;
	ULONG Completed;
	HRESULT Status;
} MINIDUMP_VM_POST_READ_CALLBACK, *PMINIDUMP_VM_POST_READ_CALLBACK;

/* A question. Source: "MINIDUMP_CALLBACK_INPUT structure". */
typedef struct MINIDUMP_CALLBACK_INPUT {
	ULONG ProcessId;
	HANDLE ProcessHandle; /* as given to MiniDumpWriteDump */
	ULONG CallbackType;   /* MINIDUMP_CALLBACK_TYPE: which of these it is */
	__extension__ union {
		HRESULT Status;
		MINIDUMP_THREAD_CALLBACK Thread;
		MINIDUMP_THREAD_EX_CALLBACK ThreadEx;
		MINIDUMP_MODULE_CALLBACK Module;
		MINIDUMP_INCLUDE_THREAD_CALLBACK IncludeThread;
		MINIDUMP_INCLUDE_MODULE_CALLBACK IncludeModule;
		MINIDUMP_IO_CALLBACK Io;
		MINIDUMP_READ_MEMORY_FAILURE_CALLBACK ReadMemoryFailure;
		ULONG SecondaryFlags;
		MINIDUMP_VM_QUERY_CALLBACK VmQuery;
		MINIDUMP_VM_PRE_READ_CALLBACK VmPreRead;
		MINIDUMP_VM_POST_READ_CALLBACK VmPostRead;
	};
} MINIDUMP_CALLBACK_INPUT, *PMINIDUMP_CALLBACK_INPUT;

/* The answer. Source: "MINIDUMP_CALLBACK_OUTPUT structure". */
__extension__ typedef struct MINIDUMP_CALLBACK_OUTPUT {
	__extension__ union {
		ULONG ModuleWriteFlags;
		ULONG ThreadWriteFlags;
		ULONG SecondaryFlags;
		__extension__ struct {
			ULONG64 MemoryBase;
			ULONG MemorySize;
		};
		__extension__ struct {
			BOOL CheckCancel;
			BOOL Cancel;
		};
		HANDLE Handle;
		__extension__ struct {
			MINIDUMP_MEMORY_INFO VmRegion;
			BOOL Continue;
		};
		__extension__ struct {
			HRESULT VmQueryStatus;
			MINIDUMP_MEMORY_INFO VmQueryResult;
		};
		__extension__ struct {
			HRESULT VmReadStatus;
			ULONG VmReadBytesCompleted;
		};
		HRESULT Status;
	};
} MINIDUMP_CALLBACK_OUTPUT, *PMINIDUMP_CALLBACK_OUTPUT;

typedef BOOL(WINAPI *MINIDUMP_CALLBACK_ROUTINE)(PVOID CallbackParam,
						PMINIDUMP_CALLBACK_INPUT CallbackInput,
						PMINIDUMP_CALLBACK_OUTPUT CallbackOutput);

typedef struct MINIDUMP_CALLBACK_INFORMATION {
	MINIDUMP_CALLBACK_ROUTINE CallbackRoutine;
	PVOID CallbackParam;
} MINIDUMP_CALLBACK_INFORMATION, *PMINIDUMP_CALLBACK_INFORMATION;

/*
 * What goes into the dump. All are accepted; what some of them mean here, and which mean nothing:
 * MiniDumpWriteDump(3). Source: "MINIDUMP_TYPE enumeration".
 */
typedef enum MINIDUMP_TYPE {
	MiniDumpNormal = 0x00000000,
	MiniDumpWithDataSegs = 0x00000001,
	MiniDumpWithFullMemory = 0x00000002,
	MiniDumpWithHandleData = 0x00000004,
	MiniDumpFilterMemory = 0x00000008,
	MiniDumpScanMemory = 0x00000010,
	MiniDumpWithUnloadedModules = 0x00000020,
	MiniDumpWithIndirectlyReferencedMemory = 0x00000040,
	MiniDumpFilterModulePaths = 0x00000080,
	MiniDumpWithProcessThreadData = 0x00000100,
	MiniDumpWithPrivateReadWriteMemory = 0x00000200,
	MiniDumpWithoutOptionalData = 0x00000400,
	MiniDumpWithFullMemoryInfo = 0x00000800,
	MiniDumpWithThreadInfo = 0x00001000,
	MiniDumpWithCodeSegs = 0x00002000,
	MiniDumpWithoutAuxiliaryState = 0x00004000,
	MiniDumpWithFullAuxiliaryState = 0x00008000,
	MiniDumpWithPrivateWriteCopyMemory = 0x00010000,
	MiniDumpIgnoreInaccessibleMemory = 0x00020000,
	MiniDumpWithTokenInformation = 0x00040000,
	MiniDumpWithModuleHeaders = 0x00080000,
	MiniDumpFilterTriage = 0x00100000,
	MiniDumpWithAvxXStateContext = 0x00200000,
	MiniDumpWithIptTrace = 0x00400000,
	MiniDumpScanInaccessiblePartialPages = 0x00800000,
	MiniDumpFilterWriteCombinedMemory = 0x01000000,
	MiniDumpValidTypeFlags = 0x01FFFFFF
} MINIDUMP_TYPE;
DEFINE_ENUM_FLAG_OPERATORS(MINIDUMP_TYPE)

#pragma pack(pop)

/*
 * Writes a minidump to hFile, a descriptor. hProcess is a snapshot, an HPSS as a HANDLE, if the
 * callback answers IsProcessSnapshotCallback with S_FALSE; else a process, of which a snapshot is
 * taken and freed. The last three may be NULL. TRUE, or FALSE with an HRESULT as last error.
 * Source: "MiniDumpWriteDump function".
 */
PSSAPI BOOL WINAPI MiniDumpWriteDump(HANDLE hProcess, DWORD ProcessId, HANDLE hFile,
				     MINIDUMP_TYPE DumpType,
				     PMINIDUMP_EXCEPTION_INFORMATION ExceptionParam,
				     PMINIDUMP_USER_STREAM_INFORMATION UserStreamParam,
				     PMINIDUMP_CALLBACK_INFORMATION CallbackParam);

#ifdef __cplusplus
}
#endif

#endif /* PSS_MINIDUMPAPISET_H */
