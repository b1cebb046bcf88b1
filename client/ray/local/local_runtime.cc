#include "client/ray/local/local_runtime.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <thread>
#include <unordered_map>
#include <utility>

#include <ray/api/exceptions.h>
#include <ray/api/nodes.h>

#include "base/mutex.h"
#include "base/strings.h"
#include "client/ray/local/callback_thread.h"
#include "client/ray/local/local_actor.h"
#include "client/ray/local/local_groups.h"
#include "client/ray/local/local_store.h"
#include "client/ray/local/local_threads.h"

namespace raylet::client {
namespace {

using ray::internal::ActorHandleState;
using ray::internal::Argument;
using ray::internal::ArrayStorage;
using ray::internal::CallOptions;
using ray::internal::ObjectHandle;
using ray::internal::Packed;
using ray::internal::PackedView;
using ray::internal::PackScope;
using ray::internal::RayException;
using ray::internal::RegisteredFunction;

// The state that the handles of an actor share. The actor ends with the last handle. The runtime has one of each named
// or detached actor.
class LocalActorHandle : public ray::internal::ActorState {
 public:
  LocalActorHandle(std::shared_ptr<LocalActor> actor, const LocalStore& session)
      : ActorState(&session), actor_(std::move(actor)) {}
  ~LocalActorHandle() override { actor_->Release(); }
  LocalActor& actor() const { return *actor_; }

 private:
  const std::shared_ptr<LocalActor> actor_;
};

const RegisteredFunction& FunctionOf(const std::string& name) {
  const RegisteredFunction* function = ray::internal::FindFunction(name);
  if (function == nullptr) throw ray::internal::RayFunctionNotFound(StrCat(name, " was not given to RAY_REMOTE"));
  return *function;
}

// Tasks that wait for one another by other means than ray::Get need threads of their own.
constexpr unsigned kThreadsMin = 10;

LocalActor& ActorOf(const LocalStore& store, const ActorHandleState& actor) {
  ray::internal::CheckSession(*actor, &store);
  return static_cast<LocalActorHandle&>(*actor).actor();
}

// A task from its submission to its end.
struct WaitingTask {
  const RegisteredFunction* function = nullptr;
  std::vector<LocalArgument> arguments;
  LocalObjectPtr result;
  int exception_retries = 0;  // -1: for ever
  std::atomic<size_t> missing{0};
  std::atomic<bool> cancelled{false};
  Mutex mutex;
  std::vector<ObjectId> children RAYLET_GUARDED_BY(mutex);  // the results of the tasks that it has submitted
};

thread_local WaitingTask* current_task = nullptr;

struct CurrentTaskScope {
  explicit CurrentTaskScope(WaitingTask& task) { current_task = &task; }
  ~CurrentTaskScope() { current_task = nullptr; }
  CurrentTaskScope(const CurrentTaskScope&) = delete;
  CurrentTaskScope& operator=(const CurrentTaskScope&) = delete;
};

void RunTask(LocalStore& store, WaitingTask& task) {
  if (task.cancelled) return;
  LocalFailurePtr failure;
  const CurrentTaskScope scope(task);
  try {
    const LocalViews views = ViewsOf(store, task.arguments);
    failure = views.failure;
    if (failure == nullptr)
      store.Fulfil(task.result, InvokeAgain(*task.function, nullptr, views.views, task.exception_retries,
                                            [&task] { return task.cancelled.load(); }));
  } catch (...) {
    failure = FailureOfCurrentException(task.function->name);
  }
  if (failure != nullptr) store.Fail(task.result, std::move(failure));
}

class LocalRuntime : public ray::internal::Runtime {
 public:
  explicit LocalRuntime(const ray::RayConfig& config)
      : namespace_(config.ray_namespace.empty() ? "local" : config.ray_namespace),
        threads_(std::max(kThreadsMin, std::thread::hardware_concurrency())) {}
  ~LocalRuntime() override { StopAll(); }

  void Stop() override { StopAll(); }

  ObjectHandle Put(Packed value) override {
    LocalObjectPtr object = store_->NewObject();
    store_->Fulfil(object, std::move(value));
    return object;
  }

  ObjectHandle SubmitTask(const std::string& function, std::vector<Argument> arguments,
                          const CallOptions& options) override {
    auto task = std::make_shared<WaitingTask>();
    task->function = &FunctionOf(function);
    task->arguments = TakeArguments(*store_, std::move(arguments));
    task->result = store_->NewObject();
    ObjectHandle result = task->result;
    if (options.retry_exceptions) task->exception_retries = options.max_retries;
    task->result->MarkOfTask();
    Remember(task);
    std::vector<LocalObjectPtr> references;
    for (const LocalArgument& argument : task->arguments)
      if (argument.reference != nullptr) references.push_back(argument.reference);
    task->missing = references.size() + 1;  // the last one to be counted starts it
    const auto one_more = [this, task] {
      if (task->missing.fetch_sub(1) != 1) return;
      threads_.Run([this, store = store_, task] {
        RunTask(*store, *task);
        const MutexLock lock(mutex_);
        tasks_.erase(task->result->id());
      });
    };
    for (const LocalObjectPtr& reference : references) store_->WhenReady(reference, one_more);
    one_more();
    return result;
  }

  ActorHandleState CreateActor(const std::string& factory, std::vector<Argument> arguments,
                               const CallOptions& options) override {
    LocalActor::Options actor_options;
    actor_options.id = ActorId::FromRandom();
    actor_options.name = options.name;
    actor_options.actor_namespace = options.actor_namespace.empty() ? namespace_ : options.actor_namespace;
    actor_options.max_restarts = options.max_restarts;
    actor_options.max_concurrency = options.max_concurrency;
    actor_options.max_task_retries = options.max_retries;
    auto actor = std::make_shared<LocalActor>(store_, actor_options, FunctionOf(factory),
                                              TakeArguments(*store_, std::move(arguments)));
    auto handle = std::make_shared<LocalActorHandle>(actor, *store_);
    const auto ended = Reap();
    const MutexLock lock(mutex_);
    if (stopped_) throw RayException("Ray has been shut down in this process");  // nobody would end the actor's threads
    if (!options.name.empty()) {
      std::weak_ptr<LocalActorHandle>& named = names_[{actor_options.actor_namespace, options.name}];
      if (const auto other = named.lock(); other != nullptr && !other->actor().Dead())
        throw RayException(
            StrCat("an actor named ", options.name, " exists already in namespace ", actor_options.actor_namespace));
      named = handle;
    }
    actors_.push_back(actor);
    by_id_[actor_options.id] = handle;
    if (options.detached || !options.name.empty()) kept_.push_back(handle);
    actor->Start();
    return handle;
  }

  ObjectHandle SubmitActorCall(const ActorHandleState& actor, const std::string& method,
                               std::vector<Argument> arguments, const CallOptions& options) override {
    return ActorOf(*store_, actor).Call(FunctionOf(method), TakeArguments(*store_, std::move(arguments)), options);
  }

  void KillActor(const ActorHandleState& actor, bool no_restart) override { ActorOf(*store_, actor).Kill(no_restart); }

  ray::internal::FoundActor FindActor(const std::string& name, const std::string& actor_namespace) override {
    const MutexLock lock(mutex_);
    const auto found = names_.find({actor_namespace.empty() ? namespace_ : actor_namespace, name});
    if (found == names_.end()) return {};
    auto handle = found->second.lock();
    if (handle == nullptr || handle->actor().Dead()) return {};
    const int max_task_retries = handle->actor().options().max_task_retries;
    return {std::move(handle), max_task_retries};
  }

  void Cancel(const ObjectHandle& object, bool) override {
    const LocalObjectPtr local = ObjectOf(*store_, object);
    if (local->of_call()) return CancelCall(local);
    if (!local->of_task())
      throw RayException(StrCat("object ", local->id().hex(), " is of ray::Put, and cannot be cancelled"));
    CancelTask(local->id());
  }
  bool IsCancelled() const override {
    return (current_task != nullptr && current_task->cancelled) || LocalActor::CurrentCallIsCancelled();
  }

  PackedView Get(const ObjectHandle& object, int64_t timeout_ms) override {
    LocalObject* const local = &AsObject(*store_, object);
    LocalOutcome outcome = store_->Outcome(*local);
    if (!outcome.ready()) {
      const LocalThreads::Blocked blocked(threads_);
      store_->Wait({&local, 1}, 1, timeout_ms);
      outcome = store_->Outcome(*local);
    }
    if (outcome.failure != nullptr) outcome.failure->Throw();
    if (outcome.value == nullptr)
      throw ray::internal::RayTimeoutException(
          StrCat("object ", local->id().hex(), " is not there after ", timeout_ms, " ms"));
    return PackedView{outcome.value->bytes, outcome.value, outcome.value};
  }

  std::vector<bool> Wait(std::span<const ObjectHandle> objects, size_t count, int64_t timeout_ms) override {
    std::vector<LocalObject*> locals;
    locals.reserve(objects.size());
    for (const ObjectHandle& object : objects) locals.push_back(&AsObject(*store_, object));
    std::vector<bool> ready = store_->Ready(locals, count);
    if (timeout_ms == 0 || static_cast<size_t>(std::count(ready.begin(), ready.end(), true)) == count) return ready;
    const LocalThreads::Blocked blocked(threads_);
    return store_->Wait(locals, count, timeout_ms);
  }

  void WhenReady(const ObjectHandle& object, std::function<void()> callback) override {
    const LocalObjectPtr local = ObjectOf(*store_, object);
    const CallbackThread::Callback waiting = callbacks_.Add(std::move(callback));
    store_->WhenReady(local, [this, waiting] { callbacks_.Run(waiting); });
  }

  void PackReference(const ObjectHandle& object, char* id) override {
    std::memcpy(id, ObjectOf(*store_, object)->id().data(), ObjectId::kSize);
    PackScope::Add(object);
  }
  ObjectHandle UnpackReference(std::string_view id) override { return store_->Find(id); }
  std::string IdOf(const ObjectHandle& object) const override { return ObjectOf(*store_, object)->id().binary(); }
  void Share(const ObjectHandle&) override {}
  ObjectHandle FindObject(const std::string& id) override { return store_->Find(id); }

  void PackActor(const ActorHandleState& actor, std::string& bytes) override {
    bytes = ActorOf(*store_, actor).options().id.binary();
    PackScope::Add(actor);
  }
  ActorHandleState UnpackActor(std::string_view bytes) override {
    const ActorId id = ActorId::FromBinary(bytes);
    const MutexLock lock(mutex_);
    const auto found = by_id_.find(id);
    ActorHandleState handle = found == by_id_.end() ? nullptr : found->second.lock();
    if (handle == nullptr)
      throw ray::internal::RayActorException(StrCat("there is no actor ", id.hex(), ": its last handle is gone"));
    return handle;
  }
  std::string IdOf(const ActorHandleState& actor) const override {
    return ActorOf(*store_, actor).options().id.binary();
  }

  std::shared_ptr<ArrayStorage> AllocateArray(size_t bytes) override { return store_->NewArray(bytes); }
  void PackArray(const std::shared_ptr<ArrayStorage>& array, char* id) override {
    std::memcpy(id, IdOfArray(*store_, *array).data(), ObjectId::kSize);
    PackScope::Add(array);
  }
  std::shared_ptr<ArrayStorage> UnpackArray(std::string_view id) override { return store_->FindArray(id); }

  std::string ActorNamespace() const override {
    const LocalActor* actor = LocalActor::Current();
    return actor != nullptr ? actor->options().actor_namespace : namespace_;
  }
  std::vector<ray::NodeInfo> Nodes() override {
    const std::map<std::string, double> resources = {{"CPU", std::max(1U, std::thread::hardware_concurrency())}};
    return {{NodeId().hex(), "", /*alive=*/true, /*is_this_node=*/true, resources, resources}};
  }
  std::string CreatePlacementGroup(const ray::PlacementGroupCreationOptions& options) override {
    return groups_.Create(options);
  }
  void RemovePlacementGroup(const std::string& id) override { groups_.Remove(id); }
  bool AwaitPlacementGroup(const std::string& id, int) override { return groups_.Await(id); }
  std::vector<ray::PlacementGroup> FindPlacementGroups(const std::string& id, const std::string& name) override {
    return groups_.Find(id, name);
  }
  bool WasCurrentActorRestarted() const override {
    const LocalActor* actor = LocalActor::Current();
    return actor != nullptr && actor->Restarted();
  }
  [[noreturn]] void ExitActor() override {
    if (LocalActor::Current() == nullptr) throw RayException("ray::ExitActor is for methods of actors");
    throw LocalActorExit();
  }

 private:
  void Remember(const std::shared_ptr<WaitingTask>& task) {
    const ObjectId id = task->result->id();
    if (current_task != nullptr) {
      const MutexLock lock(current_task->mutex);
      current_task->children.push_back(id);
    }
    const MutexLock lock(mutex_);
    tasks_[id] = task;
  }

  void CancelTask(const ObjectId& id) {
    std::shared_ptr<WaitingTask> task;
    {
      const MutexLock lock(mutex_);
      if (const auto found = tasks_.find(id); found != tasks_.end()) task = found->second.lock();
    }
    if (task == nullptr) return;  // it has ended
    std::vector<ObjectId> children;
    task->cancelled = true;
    store_->Fail(task->result, CancelledFailure("task"));
    {
      const MutexLock lock(task->mutex);
      children.swap(task->children);
    }
    for (const ObjectId& child : children) CancelTask(child);
  }

  void CancelCall(const LocalObjectPtr& result) {
    if (store_->Outcome(*result).ready()) return;
    store_->Fail(result, CancelledFailure("call"));
    std::vector<std::shared_ptr<LocalActor>> actors;
    {
      const MutexLock lock(mutex_);
      actors = actors_;
    }
    for (const auto& actor : actors)
      if (actor->Cancel(*result)) return;
  }

  // Actors whose threads have ended, joined; the caller lets go of them without the lock.
  std::vector<std::shared_ptr<LocalActor>> Reap() {
    std::vector<std::shared_ptr<LocalActor>> ended;
    std::vector<std::shared_ptr<LocalActorHandle>> forgotten;  // destroyed without the lock
    {
      const MutexLock lock(mutex_);
      const auto first =
          std::partition(actors_.begin(), actors_.end(), [](const auto& actor) { return !actor->Finished(); });
      ended.assign(std::make_move_iterator(first), std::make_move_iterator(actors_.end()));
      actors_.erase(first, actors_.end());
      for (const auto& actor : ended) by_id_.erase(actor->options().id);
      const auto dead =
          std::partition(kept_.begin(), kept_.end(), [](const auto& handle) { return !handle->actor().Finished(); });
      forgotten.assign(std::make_move_iterator(dead), std::make_move_iterator(kept_.end()));
      kept_.erase(dead, kept_.end());
    }
    for (const auto& actor : ended) actor->Join();
    return ended;
  }

  void StopAll() {
    store_->Stop();
    std::vector<std::shared_ptr<LocalActor>> actors;
    std::vector<std::shared_ptr<LocalActorHandle>> kept;
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      actors.swap(actors_);
      kept.swap(kept_);
    }
    for (const auto& actor : actors) actor->Kill(true);
    for (const auto& actor : actors) actor->Join();
    threads_.Stop();
    callbacks_.Stop();
  }

  const std::string namespace_;
  LocalGroups groups_;
  const std::shared_ptr<LocalStore> store_ = std::make_shared<LocalStore>();
  Mutex mutex_;
  bool stopped_ RAYLET_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<LocalActor>> actors_ RAYLET_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<LocalActorHandle>> kept_ RAYLET_GUARDED_BY(mutex_);  // of named and detached actors
  std::unordered_map<ActorId, std::weak_ptr<LocalActorHandle>> by_id_ RAYLET_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, std::weak_ptr<LocalActorHandle>> names_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<ObjectId, std::weak_ptr<WaitingTask>> tasks_ RAYLET_GUARDED_BY(mutex_);  // by their results
  CallbackThread callbacks_;
  LocalThreads threads_;
};

}  // namespace

bool OnThreadOfLocalMode() { return LocalThreads::OnOne() || LocalActor::OnThreadOfOne(); }

std::unique_ptr<ray::internal::Runtime> MakeLocalRuntime(const ray::RayConfig& config) {
  return std::make_unique<LocalRuntime>(config);
}

}  // namespace raylet::client
