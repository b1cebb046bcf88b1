// ClusterCore: what the parts of the ray:: runtime of one process share: the raylet, the store, the tables, the
// waiting.
// Made by Connect and never destroyed, since handles may outlive Shutdown; after Stop it is not Usable and everything
// that
// comes late does nothing. Any thread; messages come in on the raylet client's io thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "client/plasma/fork_guard.h"
#include "client/plasma/store_client.h"
#include "client/ray/cluster/call_channel.h"
#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/lends.h"
#include "client/ray/cluster/raylet_client.h"

namespace raylet::client {

class ActorLink;
class StoreArray;

// The first byte of the metadata of an object that the ray:: layer puts into the store. Arrays have a header of their
// own.
constexpr char kValueMark = 'V';
constexpr char kFailureMark = 'F';
constexpr int64_t kRoomPatienceMs = 2000;  // how long a create waits for others to release before it says StoreFull

class ClusterCore final : public RayletClient::Handler {
 public:
  struct Options {
    std::string raylet_socket;
    wire::ProcessKind kind = wire::ProcessKind::Driver;
    uint64_t startup_token = 0;
    std::string actor_namespace;
    // A worker's work: tasks, channels, Exit. Io thread.
    std::function<void(const Frame&, std::vector<UniqueFd>&)> on_work;
    std::function<void()> on_raylet_gone;
  };
  // Registers, connects to the store, starts the io thread, and says Ready. Throws RayException.
  static ClusterCore& Connect(Options options);
  void Stop();  // waits end with an exception; threads are joined; the raylet hears that we have gone
  bool Usable() const { return !stopped_.load(std::memory_order_acquire) && !fork_guard_.InChild(); }
  void CheckUsable() const;  // throws, with the remedy

  ProcessId process() const { return raylet_->registration().process; }
  uint32_t store_client() const { return store_->client_number(); }
  const std::string& actor_namespace() const { return actor_namespace_; }
  RayletClient& raylet() { return *raylet_; }
  StoreClient& store() { return *store_; }
  LendTable& lends() { return lends_; }
  ObjectTable& objects() { return objects_; }
  ObjectId NewId() { return NewObjectId(process(), next_number_); }
  ActorId NewActor() { return NewActorId(process(), next_number_); }

  // ---- waiting
  // True once ready() is, false at the deadline. Drains replies meanwhile. Throws when the raylet is gone or we stop.
  bool WaitUntil(Deadline deadline, const std::function<bool()>& ready);
  // Takes what has arrived on all channels, unless another thread does so right now.
  void Drain();
  void WakeWaiters();  // after an object became ready; a system call only if a thread sleeps
  // While the count is above zero a thread of ours drains, though nobody waits in Get.
  void AddProgress();
  void RemoveProgress();
  // A thread of a worker begins or ends a wait. While any of them waits the worker's CPU goes to others: what its main
  // thread does meanwhile may be to join that thread. A driver holds no CPU.
  void SetBlocked(bool blocked);
  void RepeatBlocked();  // at the start of a task, of which the raylet takes no thread to be waiting
  // This process hosts an actor that has started again: said before its constructor runs.
  void MarkActorRestarted() { actor_restarted_.store(true, std::memory_order_release); }
  bool actor_restarted() const { return actor_restarted_.load(std::memory_order_acquire); }
  bool IsWorker() const { return options_.kind == wire::ProcessKind::Worker; }

  // ---- the store
  Result<void> StoreValue(const ObjectId& id, std::string_view bytes, char mark, uint32_t owner_client = 0,
                          int64_t room_patience_ms = kRoomPatienceMs);
  // Others wait for it and the store is full: tried again from time to time while it lives. The progress that was
  // added for it goes on until then.
  void WriteLater(std::weak_ptr<ClusterObject> object);
  // `create` asks the store with these options: at once, and where there is no room again with patience, while replies
  // are taken, since what their calls held may be what fills the store.
  template <class Create>
  auto CreateWithPatience(CreateOptions& options, int64_t room_patience_ms, Create create) {
    options.timeout_ms = 0;
    auto created = create();
    if (created || created.error().code != ErrorCode::kFull || room_patience_ms <= 0) return created;
    AddProgress();
    options.timeout_ms = room_patience_ms;
    created = create();
    RemoveProgress();
    return created;
  }
  void DeleteFromStore(const ObjectId& id);
  // A view of a stored object, from this machine's store, at once where it is there. Otherwise, where it may still come
  // (its owner makes it, or another machine has it), waits for it. kTimedOut; kNotFound, with the reason, where it will
  // not come. Not from the io thread.
  Result<ObjectView> FetchStored(const ObjectId& id, Deadline deadline, bool may_come);
  // In a cluster: the raylet brings these to this machine as long as the count of Want and WantNoLonger differs.
  void Want(std::span<const ObjectId> ids, bool in_wait);
  void WantNoLonger(std::span<const ObjectId> ids);
  FailurePtr WhyLost(const ObjectId& id) const;  // null: it may still come
  std::shared_ptr<StoreArray> FindArray(const ObjectId& id) const;
  void RegisterArray(const std::shared_ptr<StoreArray>& array);
  void ForgetArray(const ObjectId& id);

  // ---- others
  void ReleaseLendThroughRaylet(ProcessId lender, LendId lend);
  bool ProcessIsDead(ProcessId process) const;  // it has ended, or its machine is lost
  std::string WhyDead(ProcessId process) const;
  void AddChannel(std::shared_ptr<CallChannel> channel);
  // Takes its last replies, fails the rest of its calls, and forgets it. Not under the drain lock.
  void CloseChannel(const std::shared_ptr<CallChannel>& channel, const FailurePtr& failure);
  void RemoveChannel(const std::shared_ptr<CallChannel>& channel);
  std::shared_ptr<ActorLink> FindActor(const ActorId& id) const;
  void RegisterActor(const std::shared_ptr<ActorLink>& actor);
  void ForgetActor(const ActorId& id);
  // Its end is a TaskResult.
  void AddTask(const TaskId& id, PendingCall task);
  bool TakeTask(const TaskId& id, PendingCall& task);

 private:
  ClusterCore() = default;
  void OnMessage(const Frame& frame, std::vector<UniqueFd>& fds) override;
  void OnRayletGone() override;
  void OnTaskResult(const Frame& frame);
  void OnActorChanged(const Frame& frame);
  void OnProcessDied(const Frame& frame);
  void OnObjectLost(const Frame& frame);
  void DrainLocked();
  void TellBlocked(bool blocked);
  void SayWanted(std::span<const ObjectId> ids, bool in_wait, bool no_longer);
  void RunProgress();
  void WriteUnwritten();

  Options options_;
  ForkGuard fork_guard_;
  std::unique_ptr<RayletClient> raylet_;
  std::shared_ptr<StoreClient> store_;
  std::string actor_namespace_;
  LendTable lends_;
  ObjectTable objects_;
  std::atomic<uint64_t> next_number_{1};
  std::atomic<bool> stopped_{false};          // published by Stop (release), read by everybody (acquire)
  std::atomic<bool> actor_restarted_{false};  // never taken back

  std::atomic<bool> draining_{false};      // the drain lock
  std::atomic<bool> drain_missed_{false};  // somebody wanted to drain meanwhile
  std::atomic<uint32_t> waiters_{0};       // threads inside WaitUntil
  std::atomic<uint64_t> channels_version_{0};
  std::vector<std::shared_ptr<CallChannel>> draining_channels_;  // the drainer's copy, of draining_version_
  uint64_t draining_version_ = 0;

  mutable std::mutex mutex_;  // guards what follows; no hold is dropped under it
  std::vector<std::shared_ptr<CallChannel>> channels_;
  std::unordered_map<ActorId, std::weak_ptr<ActorLink>> actors_;
  std::unordered_map<ObjectId, std::weak_ptr<StoreArray>> arrays_;
  std::unordered_map<ProcessId, std::string> dead_;  // with a low half of 0: a whole machine, and why it is lost
  struct Wanted {
    size_t count = 0;
    FailurePtr lost;
  };
  std::unordered_map<ObjectId, Wanted> wanted_;
  std::unordered_map<TaskId, PendingCall> tasks_;

  std::mutex blocked_mutex_;     // held while the raylet is told, so that it hears of changes in their order
  int64_t blocked_threads_ = 0;  // guarded by blocked_mutex_

  std::mutex progress_mutex_;
  std::condition_variable progress_changed_;
  std::atomic<int64_t> progress_wanted_{0};
  std::thread progress_thread_;                          // guarded by progress_mutex_ until Stop
  std::vector<std::weak_ptr<ClusterObject>> unwritten_;  // guarded by progress_mutex_
  std::atomic<size_t> unwritten_count_{0};
};

}  // namespace raylet::client
