// LocalActor: one actor of local_mode: its object, its queue of calls, and the threads that run them. There is one
// thread, unless the actor allows more calls at a time. Owned by the runtime; handles keep it too. Any thread. Calls
// run in the order of Call(). A call under way is never interrupted: a kill takes effect after it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ray/internal/runtime.h>

#include "base/mutex.h"
#include "client/ray/local/local_store.h"
#include "fbs/ids.h"

namespace raylet::client {

// An argument as local_mode keeps it: shared, since a restarted actor's factory needs its arguments
// again.
struct LocalArgument {
  ValuePtr value;
  LocalObjectPtr reference;
};
std::vector<LocalArgument> TakeArguments(const LocalStore& store, std::vector<ray::internal::Argument> arguments);
// The views once every reference is ready, or the failure of the first reference without a value.
struct LocalViews {
  std::vector<ray::internal::PackedView> views;
  LocalFailurePtr failure;
};
LocalViews ViewsOf(LocalStore& store, const std::vector<LocalArgument>& arguments);

// Calls the function, and again where it throws, so often at most; -1: until it is cancelled.
ray::internal::Packed InvokeAgain(const ray::internal::RegisteredFunction& function, void* instance,
                                  std::span<const ray::internal::PackedView> arguments, int exception_retries,
                                  const std::function<bool()>& cancelled = {});

// Thrown by ray::ExitActor through the user's method.
struct LocalActorExit {};

class LocalActor {
 public:
  struct Options {
    ActorId id;
    std::string name;
    std::string actor_namespace;
    int max_restarts = 0;
    int max_concurrency = 1;
    int max_task_retries = 0;  // of its calls
  };

  LocalActor(std::shared_ptr<LocalStore> store, Options options, const ray::internal::RegisteredFunction& factory,
             std::vector<LocalArgument> arguments);
  ~LocalActor();  // Join() was called
  LocalActor(const LocalActor&) = delete;
  LocalActor& operator=(const LocalActor&) = delete;

  void Start();
  // `options`: max_retries counts for a call that a kill found in the queue.
  LocalObjectPtr Call(const ray::internal::RegisteredFunction& method, std::vector<LocalArgument> arguments,
                      const ray::internal::CallOptions& options);
  // The call whose result this is, failed already: it never begins, or hears of it. False: it is of another actor, or
  // has ended.
  bool Cancel(const LocalObject& result);
  static bool CurrentCallIsCancelled();  // of this thread
  void Kill(bool no_restart);
  void Release();  // the last handle is gone: ends once the queue is empty
  void Join();     // after Kill(true) or Release(); not from a method of the actor

  bool Dead() const;      // no call will run any more
  bool Finished() const;  // its threads have ended: Join() does not wait
  const Options& options() const { return options_; }

  // The actor whose method or factory runs on this thread; null outside.
  static LocalActor* Current();
  // Whether this is a thread of an actor, whose destructor runs there too.
  static bool OnThreadOfOne();
  bool Restarted() const;

 private:
  enum class State { kStarting, kAlive, kDead };
  struct RunningCall;
  struct PendingCall {
    const ray::internal::RegisteredFunction* method = nullptr;
    std::vector<LocalArgument> arguments;
    LocalObjectPtr result;
    int retries_left = 0;       // -1: for ever
    int exception_retries = 0;  // -1: for ever
  };

  void Loop() RAYLET_EXCLUDES(mutex_);
  // These let go of the mutex while they run the user's code, and hold it again when they return.
  void Create() RAYLET_REQUIRES(mutex_);    // kStarting -> kAlive or kDead
  void RunOne() RAYLET_REQUIRES(mutex_);    // the first call of the queue
  void TakeDown() RAYLET_REQUIRES(mutex_);  // the object goes; then a restart, or the end
  // `repeat`: the actor starts again, and calls that have retries stay.
  void FailQueue(const LocalFailurePtr& failure, bool repeat = false) RAYLET_REQUIRES(mutex_);

  const std::shared_ptr<LocalStore> store_;
  const Options options_;
  const ray::internal::RegisteredFunction& factory_;
  const std::vector<LocalArgument> arguments_;

  mutable Mutex mutex_;
  ConditionVariable changed_;
  State state_ RAYLET_GUARDED_BY(mutex_) = State::kStarting;
  bool creating_ RAYLET_GUARDED_BY(mutex_) = false;
  bool released_ RAYLET_GUARDED_BY(mutex_) = false;
  bool kill_ RAYLET_GUARDED_BY(mutex_) = false;        // take the object down as soon as nothing runs
  bool no_restart_ RAYLET_GUARDED_BY(mutex_) = false;  // and let it stay down
  LocalFailurePtr cause_ RAYLET_GUARDED_BY(mutex_);    // of the kill; once dead: of every call
  int restarts_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::vector<RunningCall*> running_ RAYLET_GUARDED_BY(mutex_);
  int threads_running_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::deque<PendingCall> queue_ RAYLET_GUARDED_BY(mutex_);
  ray::internal::ActorInstance instance_ RAYLET_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
