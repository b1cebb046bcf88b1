// The seam between the public templates (<ray/api.h>) and the library. Templates turn user types into bytes and
// handles; a Runtime carries them. Two runtimes: the cluster's (drivers and workers) and the one in process
// (local_mode). Every method is thread-safe. Methods throw the exceptions of <ray/api/exceptions.h>, nothing else.
#pragma once

#include <ray/internal/abi.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ray/internal/export.h>

namespace ray {
class PlacementGroup;
class RayConfig;
struct NodeInfo;
struct PlacementGroupCreationOptions;
namespace internal {

// One object that this process owns or borrows: pending, ready (bytes or a sealed store object) or failed. Copies of
// the handle are the local references; the last one to go frees what the object holds.
class ObjectState;
using ObjectHandle = std::shared_ptr<ObjectState>;

// One actor as this process knows it. The last handle of the process that created it ends the actor, unless it has a
// name or is detached.
class ActorState;
using ActorHandleState = std::shared_ptr<ActorState>;

// What a name stands for.
struct FoundActor {
  ActorHandleState actor;    // null: nothing
  int max_task_retries = 0;  // of its calls, as its creator has set it
};

// Something that must stay alive as long as a message or a value does.
using Hold = std::shared_ptr<const void>;

constexpr size_t kRestBytesMin = size_t{128} << 10;

// A serialized value: its bytes, and what the bytes refer to (references, arrays, actor handles inside it). The bytes
// of a large vector or string stay in the value, so that they are copied once: into the store.
struct Packed {
  std::string bytes;
  std::string_view rest;  // the bytes behind `bytes`: none, or kRestBytesMin at least
  Hold rest_owner;        // null: `rest` is valid during the call that takes it
  std::vector<Hold> holds;

  size_t size() const { return bytes.size() + rest.size(); }
  // Copies the rest, so that the value may go.
  void KeepRest() {
    bytes.append(rest);
    rest = {};
    rest_owner.reset();
  }
};

// A serialized value to read, valid while keep_alive lives. Objects unpacked from it, inside an UnpackScope of it, keep
// `lend` alive, which keeps the lender's objects alive.
struct PackedView {
  std::string_view bytes;
  Hold keep_alive;
  Hold lend;
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();  // of Get
};

struct Argument {
  Packed value;            // used when reference is null
  ObjectHandle reference;  // an ObjectRef parameter: the callee gets its value
};

constexpr int kDefaultTaskRetries = 3;

struct CallOptions {
  std::string name;                         // for people; for an actor: its name
  std::string actor_namespace;              // empty: the job's
  std::map<std::string, double> resources;  // "CPU": 1 for tasks, 0 for actors unless set
  int max_retries = kDefaultTaskRetries;    // of a task or an actor's call: -1 for ever
  bool retry_exceptions = false;            // max_retries counts for exceptions, too
  int max_restarts = 0;                     // of an actor: -1 for ever
  int max_concurrency = 1;
  bool detached = false;
  std::string runtime_env;      // RuntimeEnv::Serialize; empty: that of the process
  std::string placement_group;  // its id; empty: none
  int bundle = -1;              // of that group; -1: any
};

// Memory of an array in the store: writable until sealed, then a pinned, read-only view of it.
class RAYLET_API ArrayStorage {
 public:
  // `session`: an address that is nobody else's while the array lives, the same for all arrays between Init and
  // Shutdown.
  explicit ArrayStorage(const void* session) : session_(session) {}
  ArrayStorage(const ArrayStorage&) = delete;
  ArrayStorage& operator=(const ArrayStorage&) = delete;
  virtual ~ArrayStorage();
  const void* session() const { return session_; }
  virtual const void* data() const = 0;  // 64-byte aligned, read-only memory once sealed
  virtual void* mutable_data() = 0;      // nullptr once sealed
  virtual size_t size_bytes() const = 0;
  // Visible to all from here on; the memory behind data() is read-only. Throws if sealed already.
  virtual void Seal() = 0;

 private:
  const void* const session_;
};

class RAYLET_API Runtime {
 public:
  virtual ~Runtime();

  // First step of Shutdown: no new work, calls that wait throw, user code that runs comes to its end. The runtime is
  // still the current one meanwhile; it is destroyed afterwards, once no thread is inside of a call.
  virtual void Stop() {}

  virtual ObjectHandle Put(Packed value) = 0;
  virtual ObjectHandle SubmitTask(const std::string& function, std::vector<Argument> arguments,
                                  const CallOptions& options) = 0;
  virtual ActorHandleState CreateActor(const std::string& factory, std::vector<Argument> arguments,
                                       const CallOptions& options) = 0;
  virtual ObjectHandle SubmitActorCall(const ActorHandleState& actor, const std::string& method,
                                       std::vector<Argument> arguments, const CallOptions& options) = 0;
  virtual void KillActor(const ActorHandleState& actor, bool no_restart) = 0;
  virtual FoundActor FindActor(const std::string& name, const std::string& actor_namespace) = 0;

  // Fails the result of a task, and stops the task. Throws where the object is none that this process may cancel.
  virtual void Cancel(const ObjectHandle& object, bool force) = 0;
  virtual bool IsCancelled() const = 0;  // the task of this thread

  // Waits until the object is there; timeout_ms < 0 waits for ever. Throws what the task threw, RayTimeoutException, or
  // why the object is lost.
  virtual PackedView Get(const ObjectHandle& object, int64_t timeout_ms) = 0;
  // Get of the first object, and of those behind it that are at hand. Writes their views in order, and returns how
  // many. The caller keeps the objects as long as it reads the views. Neither span is empty.
  virtual size_t GetMany(std::span<const ObjectHandle> objects, int64_t timeout_ms, std::span<PackedView> views) {
    views[0] = Get(objects[0], timeout_ms);
    return 1;
  }
  // Wants those of the objects that lie on other machines here, all at once, while the returned hold lives. May return
  // null.
  virtual Hold Want(std::span<const ObjectHandle>) { return nullptr; }
  // The same for the arrays that these values refer to.
  virtual Hold WantArraysOf(std::span<const PackedView>) { return nullptr; }
  // Which of the objects are ready (with a value or an error): `count` of them, or fewer at the timeout.
  virtual std::vector<bool> Wait(std::span<const ObjectHandle> objects, size_t count, int64_t timeout_ms) = 0;

  // Runs the callback once: when the object is ready, or when Shutdown ends the wait. On a thread of the library, where
  // the callback may call Get. It throws nothing.
  virtual void WhenReady(const ObjectHandle& object, std::function<void()> callback) = 0;

  // Writes 20 bytes of id into `id`, and registers a hold on the object with the PackScope under way, if
  // any. From then on other processes must be able to reach the object.
  virtual void PackReference(const ObjectHandle& object, char* id) = 0;
  virtual ObjectHandle UnpackReference(std::string_view id) = 0;  // from bytes in the UnpackScope under way
  virtual std::string IdOf(const ObjectHandle& object) const = 0;
  // The id may travel by other means than in a value: other processes find the object by it, while this one keeps it.
  virtual void Share(const ObjectHandle& object) = 0;
  // For ObjectRef(id): an object that is owned, borrowed, or still to come.
  virtual ObjectHandle FindObject(const std::string& id) = 0;

  virtual void PackActor(const ActorHandleState& actor, std::string& bytes) = 0;
  virtual ActorHandleState UnpackActor(std::string_view bytes) = 0;
  virtual std::string IdOf(const ActorHandleState& actor) const = 0;

  virtual std::shared_ptr<ArrayStorage> AllocateArray(size_t bytes) = 0;
  virtual void PackArray(const std::shared_ptr<ArrayStorage>& array, char* id) = 0;  // seals nothing: must be sealed
  virtual std::shared_ptr<ArrayStorage> UnpackArray(std::string_view id) = 0;

  virtual std::string ActorNamespace() const = 0;
  virtual std::vector<NodeInfo> Nodes() = 0;  // this one is the first
  virtual bool WasCurrentActorRestarted() const = 0;

  // Returns the id of the group, whose options make sense.
  virtual std::string CreatePlacementGroup(const PlacementGroupCreationOptions& options) = 0;
  virtual void RemovePlacementGroup(const std::string& id) = 0;
  // Whether it is created in time; throws where it was removed.
  virtual bool AwaitPlacementGroup(const std::string& id, int timeout_seconds) = 0;
  // That of the id, that of the name, or all.
  virtual std::vector<PlacementGroup> FindPlacementGroups(const std::string& id, const std::string& name) = 0;

  [[noreturn]] virtual void ExitActor() = 0;
};

constexpr size_t kIdBytes = 20;

// The runtime between Init and Shutdown; throws RayException ("call ray::Init() first") outside.
RAYLET_API Runtime& CurrentRuntime();
RAYLET_API bool HasRuntime();

// Whether RayConfig::default_actor_lifetime says so; a template asks when it creates an actor.
RAYLET_API bool ActorsAreDetachedByDefault();

// While a value is being packed on this thread, holds collect here. Scopes nest.
class RAYLET_API PackScope {
 public:
  PackScope();
  ~PackScope();
  PackScope(const PackScope&) = delete;
  PackScope& operator=(const PackScope&) = delete;
  std::vector<Hold> TakeHolds();
  static void Add(Hold hold);  // to the innermost scope of this thread; nothing without one

 private:
  std::vector<Hold> holds_;
  PackScope* outer_;
};

// Around the unpacking of a value on this thread. References in the value hold on to its lend; objects
// that it refers to are waited for until its deadline.
class RAYLET_API UnpackScope {
 public:
  explicit UnpackScope(const PackedView& view);
  ~UnpackScope();
  UnpackScope(const UnpackScope&) = delete;
  UnpackScope& operator=(const UnpackScope&) = delete;
  // Of the innermost scope of this thread; null, and none, without one.
  static Hold Lend();
  static std::chrono::steady_clock::time_point Deadline();

 private:
  const PackedView& view_;
  UnpackScope* outer_;
};

// ---- functions that run in workers ---------------------------------------------------------------------------------

// The function that a worker calls. It unpacks the arguments, calls the user's function and packs the result.
// `instance` is the actor's object for methods, null otherwise. User exceptions pass through; worker_loop catches them.
using Invoker = Packed (*)(const void* target, size_t target_bytes, void* instance,
                           std::span<const PackedView> arguments);

// An actor's object between its factory and its end.
struct ActorInstance {
  void* object = nullptr;
  void (*destroy)(void* object) = nullptr;
};
using FactoryInvoker = ActorInstance (*)(const void* target, size_t target_bytes,
                                         std::span<const PackedView> arguments);

struct RegisteredFunction {
  std::string name;                 // the source text given to RAY_REMOTE
  std::string target;               // the bytes of the function pointer or pointer to member
  std::string type_name;            // of the pointer, as typeid names it: bytes of members of two classes may be equal
  Invoker invoke = nullptr;         // functions and methods
  FactoryInvoker create = nullptr;  // factories: functions that return a pointer to the actor
};

// Whether the function is new here: false where the same name stands for the same target already. Throws RayException
// where the name stands for another target, or the target has another name.
RAYLET_API bool RegisterFunction(RegisteredFunction function);
// The name under which these target bytes (and type) were registered; throws RayFunctionNotFound with the remedy.
RAYLET_API const std::string& FunctionName(std::string_view target, const char* type_name);
RAYLET_API const RegisteredFunction* FindFunction(std::string_view name);  // null if unknown

}  // namespace internal
}  // namespace ray
