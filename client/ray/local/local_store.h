// LocalStore: the objects and arrays of local_mode. Owned jointly by the runtime and by every
// handle, so that handles may outlive Shutdown. Any thread. One mutex guards all objects; no handle
// is dropped and no callback runs while it is held, since both may come back here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ray/api/exceptions.h>
#include <ray/internal/runtime.h>

#include "base/fork_generation.h"
#include "base/mutex.h"
#include "client/ray/api/object_state.h"
#include "fbs/ids.h"

namespace raylet::client {

// Why an object has no value. Each Get throws it anew.
struct LocalFailure {
  enum class Kind { kTaskThrew, kActorDied, kLost, kCancelled };
  Kind kind = Kind::kTaskThrew;
  std::string message;  // unless kTaskThrew
  std::string function;
  std::string exception_type;
  std::string thrown_what;
  ray::internal::FailureDetails details;

  [[noreturn]] void Throw() const;
};
using LocalFailurePtr = std::shared_ptr<const LocalFailure>;
using ValuePtr = std::shared_ptr<const ray::internal::Packed>;

// In a catch block: what `function` threw.
LocalFailurePtr FailureOfCurrentException(const std::string& function);
LocalFailurePtr ActorFailure(std::string message, bool may_have_run);
LocalFailurePtr CancelledFailure(const char* what);  // "task"

class LocalStore;

class LocalObject : public ray::internal::ObjectState {
 public:
  LocalObject(std::shared_ptr<LocalStore> store, const ObjectId& id)
      : ObjectState(store.get()), store_(std::move(store)), id_(id) {}
  ~LocalObject() override;
  const ObjectId& id() const { return id_; }
  void MarkOfTask() { of_task_ = true; }     // before anybody else knows it
  bool of_task() const { return of_task_; }  // the result of a task, which may be cancelled
  void MarkOfCall() { of_call_ = true; }     // likewise, of an actor's call
  bool of_call() const { return of_call_; }

 private:
  friend class LocalStore;
  bool of_task_ = false;
  bool of_call_ = false;
  const std::shared_ptr<LocalStore> store_;
  const ObjectId id_;
  // Guarded by the store's mutex; value or failure is set once, and stays. A cancelled task may set it again in vain.
  ValuePtr value_;
  LocalFailurePtr failure_;
  std::vector<std::function<void()>> when_ready_;
};
using LocalObjectPtr = std::shared_ptr<LocalObject>;

// The outcome of an object: at most one of the two is set.
struct LocalOutcome {
  ValuePtr value;
  LocalFailurePtr failure;
  bool ready() const { return value != nullptr || failure != nullptr; }
};

class LocalStore : public std::enable_shared_from_this<LocalStore> {
 public:
  LocalObjectPtr NewObject();
  LocalObjectPtr Find(std::string_view id);  // a lost object where no object has this id
  void Fulfil(const LocalObjectPtr& object, ray::internal::Packed value);
  void Fail(const LocalObjectPtr& object, LocalFailurePtr failure);
  LocalOutcome Outcome(const LocalObject& object);
  // Runs the callback at once when the object is ready, else on the thread that makes it so.
  void WhenReady(const LocalObjectPtr& object, std::function<void()> callback);

  // Which of them are ready: the first `count`, or fewer.
  std::vector<bool> Ready(std::span<LocalObject* const> objects, size_t count) RAYLET_EXCLUDES(mutex_);
  // The same, once there are `count` or the time is over (timeout_ms < 0: never). Throws once stopped.
  std::vector<bool> Wait(std::span<LocalObject* const> objects, size_t count, int64_t timeout_ms)
      RAYLET_EXCLUDES(mutex_);

  std::shared_ptr<ray::internal::ArrayStorage> NewArray(size_t bytes);
  std::shared_ptr<ray::internal::ArrayStorage> FindArray(std::string_view id);  // throws where there is none

  // Handles that go in a forked child leave the store alone: a thread of the parent may have held its lock.
  bool InChild() const { return generation_ != ForkGeneration(); }
  void Stop();  // a thread that waits, now or later, gets a RayException

 private:
  friend class LocalObject;
  friend class LocalArray;
  void Finish(const LocalObjectPtr& object, ValuePtr value, LocalFailurePtr failure);
  // Marks the first `count` that are ready, and no others. Returns how many there are.
  static size_t MarkReady(std::span<LocalObject* const> objects, size_t count, std::vector<bool>& ready);
  void ForgetObject(const ObjectId& id);
  void ForgetArray(const ObjectId& id);

  const uint64_t generation_ = (CountForks(), ForkGeneration());  // of the process that made this store
  std::atomic<uint64_t> next_number_{1};
  Mutex mutex_;
  ConditionVariable changed_;
  bool stopped_ RAYLET_GUARDED_BY(mutex_) = false;
  std::unordered_map<ObjectId, std::weak_ptr<LocalObject>> objects_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<ObjectId, std::weak_ptr<ray::internal::ArrayStorage>> arrays_ RAYLET_GUARDED_BY(mutex_);
};

// The object behind a handle. They throw where another store made it, before the last Shutdown.
LocalObject& AsObject(const LocalStore& store, const ray::internal::ObjectHandle& handle);
LocalObjectPtr ObjectOf(const LocalStore& store, const ray::internal::ObjectHandle& handle);
// The id of an array that NewArray made. Throws likewise.
const ObjectId& IdOfArray(const LocalStore& store, const ray::internal::ArrayStorage& array);

}  // namespace raylet::client
