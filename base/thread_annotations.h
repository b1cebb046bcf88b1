// Annotations that name the mutex of each guarded field. The test tools.thread_safety lets clang check them
// (-Wthread-safety). Other compilers ignore them. base/mutex.h has the mutex to use with them.
#pragma once

#if defined(__clang__)
#define RAYLET_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define RAYLET_THREAD_ATTRIBUTE(x)
#endif

// On a type: it is a lock, and errors call it `name`; it holds a lock for a scope.
#define RAYLET_CAPABILITY(name) RAYLET_THREAD_ATTRIBUTE(capability(name))
#define RAYLET_SCOPED_CAPABILITY RAYLET_THREAD_ATTRIBUTE(scoped_lockable)

// On a field: code touches it, or what it points to, only while it holds the lock.
#define RAYLET_GUARDED_BY(lock) RAYLET_THREAD_ATTRIBUTE(guarded_by(lock))
#define RAYLET_PT_GUARDED_BY(lock) RAYLET_THREAD_ATTRIBUTE(pt_guarded_by(lock))

// On a function: its caller holds the lock; its caller does not hold it.
#define RAYLET_REQUIRES(...) RAYLET_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define RAYLET_EXCLUDES(...) RAYLET_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))

// On a function: it takes the lock; it takes the lock when it returns `first argument`; it releases
// the lock.
#define RAYLET_ACQUIRE(...) RAYLET_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RAYLET_TRY_ACQUIRE(...) RAYLET_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define RAYLET_RELEASE(...) RAYLET_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))

// On a function whose locks clang cannot follow. A comment beside it says why it is right.
#define RAYLET_NO_THREAD_SAFETY_ANALYSIS RAYLET_THREAD_ATTRIBUTE(no_thread_safety_analysis)
