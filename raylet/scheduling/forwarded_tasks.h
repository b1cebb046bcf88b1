// ForwardedTasks: our tasks and actors on other machines, and how many tasks may be under way to each machine. Pure;
// the raylet's loop thread. Always holds: a forwarded task counts in the view until it ends or comes back here.
#pragma once

#include <map>
#include <vector>

#include "raylet/scheduling/ahead_pace.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/task_table.h"

namespace raylet {

class ForwardedTasks {
 public:
  // All outlive this.
  ForwardedTasks(TaskQueue& queue, TaskTable& tasks, Decisions& decisions)
      : queue_(queue), tasks_(tasks), decisions_(decisions) {}
  void JoinCluster(ClusterView& view) { view_ = &view; }
  bool AnyUsable() const { return view_ != nullptr && view_->AnyUsable(); }

  void Send(QueuedTask* task, const NodeId& node);
  // Sends one task of the job to a machine that has no room for it yet. False where none may go.
  bool SendAheadOne(JobId job);
  void Cancel(QueuedTask& task);  // nobody wants its result any more; the caller forgets the task
  TaskPtr Finished(const NodeId& node, const TaskId& task, bool succeeded);
  TaskPtr Returned(const NodeId& node, const TaskId& task);
  void GaveBack(const NodeId& node, const std::vector<TaskId>& tasks);
  void ActorLeft(const NodeId& node, const ActorId& actor);
  NodeId HostOf(const ActorId& actor) const;  // nil: on no other machine
  // Takes back the tasks that were sent there, and returns them, the oldest last. The view has forgotten them. They are
  // at most as many as may be under way to one machine.
  std::vector<QueuedTask*> MachineLost(const NodeId& node);
  void RecallAll();  // what was sent ahead
  void Tick();
  bool WantsTick() const;

 private:
  // Our work on another machine.
  struct Peer {
    AheadPace pace;
    size_t ahead = 0;        // tasks there with beyond_fit
    size_t ahead_bytes = 0;  // their bodies
    bool recalling = false;  // they are on their way back
  };
  static constexpr uint32_t kReturnsMax = 8;
  static constexpr size_t kAheadBytesPerNodeMax = size_t{64} << 20;

  void LoseCancelled(QueuedTask* task);
  QueuedTask* Find(const NodeId& node, const TaskId& task);
  const ClusterView::Node* WithMostRoom(const ResourceSet& needs) const;
  void Leave(QueuedTask& task);
  void ForgetThere(QueuedTask& task);
  void Recall(const NodeId& node, Peer& peer);

  TaskQueue& queue_;
  TaskTable& tasks_;
  Decisions& decisions_;
  ClusterView* view_ = nullptr;                                    // null without a cluster
  std::map<NodeId, TaskList> there_;                               // all that are forwarded; perhaps none
  std::map<NodeId, Peer> peers_;                                   // machines that have or had work of ours
  std::map<NodeId, std::map<ActorId, ResourceSet>> actors_there_;  // constructed, and what each holds
};

}  // namespace raylet
