// ClusterParts: the parts of one process's ray:: runtime, in the order in which they are built: each uses those above
// it. Made by Connect. After Stop the link is not Usable, and late calls do nothing. Handles may outlive Shutdown. So
// the parts stay while there are uses of the link, and are destroyed after Leave when there are none. Messages come in
// on the link's io thread, and each goes to the part that it is for.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "client/ray/cluster/actor_table.h"
#include "client/ray/cluster/async_gets.h"
#include "client/ray/cluster/blocked_threads.h"
#include "client/ray/cluster/borrowings.h"
#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/current_calls.h"
#include "client/ray/cluster/current_task.h"
#include "client/ray/cluster/leased_tasks.h"
#include "client/ray/cluster/metrics_reporter.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/pending_tasks.h"
#include "client/ray/cluster/progress.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/reply_pump.h"
#include "client/ray/cluster/store_access.h"
#include "client/ray/cluster/task_room.h"
#include "client/ray/cluster/task_submitter.h"
#include "client/ray/cluster/wanted_objects.h"

namespace raylet::client {

class ClusterParts {
 public:
  struct Options {
    RayletLink::Options raylet;
    // Called between the registration and Ready, so that no work has come yet. May throw.
    std::function<void(const wire::RegisterReplyT&)> on_registered;
    // A worker's work: tasks, channels, Exit. Io thread.
    std::function<void(RayletLink&, const Frame&, std::vector<UniqueFd>&)> on_work;
    std::function<void()> on_raylet_gone;  // io thread
  };
  // Registers, connects to the store, starts the io thread, and says Ready. Throws RayException.
  static ClusterParts& Connect(Options options);
  // Ends waits with an exception, fails calls and tasks under way, and joins the threads. The raylet and the store hear
  // that this process has gone. Further calls do nothing.
  void Stop();
  // Call it after Stop, when no thread is inside of a call that uses the parts, or will be. Destroys the parts, unless
  // handles still refer to them. Then a later Leave destroys them.
  void Leave();
  ~ClusterParts() = default;
  // What the parts of this process share with other processes. For tests; any thread.
  struct Shared {
    Ownership::Counts owned;
    size_t borrowings = 0;
  };
  static Shared SharedHere();

 private:
  ClusterParts(std::unique_ptr<RayletLink> link, std::shared_ptr<StoreClient> store);
  void OnMessage(const Frame& frame, std::vector<UniqueFd>& fds);
  void HoldClaimed(const wire::ClaimNoticeT& notice);
  void OnLost(const ObjectId& id, const FailurePtr& why);
  void OnProcessDied(const wire::ProcessNoticeT& notice);

  bool left_ = false;  // under the lock of KeptParts
  const std::unique_ptr<RayletLink> owned_link_;
  std::function<void(RayletLink&, const Frame&, std::vector<UniqueFd>&)> on_work_;

 public:
  RayletLink& link;
  BlockedThreads blocked;
  ReplyPump pump;
  Progress progress;
  Ownership ownership;
  Borrowings borrowings;
  WantedObjects wanted;
  StoreAccess store;
  const ObjectParts objects;
  CurrentTask current;
  CurrentCalls calls;
  TaskRoom room;
  PendingTasks tasks;
  ActorTable actors;
  LeasedTasks leased;
  TaskSubmitter submitter;
  AsyncGets async_gets;
  MetricsReporter metrics;
};

}  // namespace raylet::client
