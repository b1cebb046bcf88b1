#include "raylet/scheduling/forwarded_tasks.h"

#include <algorithm>
#include <utility>

namespace raylet {
namespace {

bool IsYounger(const QueuedTask* a, const QueuedTask* b) { return a->sequence > b->sequence; }

}  // namespace

void ForwardedTasks::Send(QueuedTask* task, const NodeId& node) {
  task->state = QueuedTask::State::kForwarded;
  task->node = node;
  TaskList& there = there_[node];
  task->place = there.insert(there.end(), task);
  view_->Sent(node, task->task->resources);
  decisions_.emplace_back(ForwardTask{node, task->task});
  tasks_.LetGo(*task);
}

const ClusterView::Node* ForwardedTasks::WithMostRoom(const ResourceSet& needs) const {
  const ClusterView::Node* best = nullptr;
  size_t most_room = 0;
  for (const auto& [id, peer] : peers_) {
    const auto actors = actors_there_.find(id);
    const size_t window =
        peer.pace.Window(kInFlightPerNodeMax) + (actors == actors_there_.end() ? 0 : actors->second.size());
    const ClusterView::Node* const node = view_->Find(id);
    if (peer.recalling || peer.ahead_bytes >= kAheadBytesPerNodeMax || node == nullptr ||
        node->state != NodeState::kUp || node->in_flight_tasks + most_room >= window || !view_->Feasible(*node, needs))
      continue;
    best = node;
    most_room = window - node->in_flight_tasks;
  }
  return best;
}

bool ForwardedTasks::SendAheadOne(JobId job) {
  const auto& shapes = queue_.shapes(job);
  size_t first = shapes.size();
  const ClusterView::Node* best = nullptr;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const QueuedTask& task = *shapes[i]->tasks.front();
    // A task that may not run twice waits here, where it is known whether it has begun. A task with stored arguments
    // goes where they are.
    if (task.task->IsRemote() || task.task->CreatesActor() || task.retries_left == 0 ||
        !task.task->stored_arguments.empty())
      continue;
    if (first < shapes.size() && GoesBefore(*shapes[first]->tasks.front(), task)) continue;
    const ClusterView::Node* const node = WithMostRoom(task.task->resources);
    if (node == nullptr) continue;
    best = node;
    first = i;
  }
  if (best == nullptr) return false;
  QueuedTask* const task = queue_.PopFront(job, first);
  task->beyond_fit = true;
  Peer& peer = peers_.at(best->id);
  ++peer.ahead;
  peer.ahead_bytes += task->task->body.size();
  Send(task, best->id);
  return true;
}

void ForwardedTasks::ForgetThere(QueuedTask& task) { there_.at(task.node).erase(task.place); }

void ForwardedTasks::Leave(QueuedTask& task) {
  ForgetThere(task);
  view_->Ended(task.node, task.task->resources);
  if (!std::exchange(task.beyond_fit, false)) return;
  Peer& peer = peers_.at(task.node);
  --peer.ahead;
  peer.ahead_bytes -= task.task->body.size();
}

void ForwardedTasks::Cancel(QueuedTask& task) {
  Leave(task);
  decisions_.emplace_back(CancelForwarded{task.node, task.task->id});
}

QueuedTask* ForwardedTasks::Find(const NodeId& node, const TaskId& id) {
  QueuedTask* const task = tasks_.Find(id);
  return task == nullptr || task->state != QueuedTask::State::kForwarded || task->node != node ? nullptr : task;
}

void ForwardedTasks::LoseCancelled(QueuedTask* task) {
  tasks_.Lose(LoseTask{LoseTask::Why::kCancelled, {}, 0, {}, 0, {}, {}}, task);
}

TaskPtr ForwardedTasks::Finished(const NodeId& node, const TaskId& id, bool succeeded) {
  QueuedTask* const queued = Find(node, id);
  if (queued == nullptr) return nullptr;
  TaskPtr task = queued->task;
  if (task->CreatesActor() && succeeded) {
    ForgetThere(*queued);
    actors_there_[node].emplace(task->actor->id, task->resources);
  } else {
    Leave(*queued);
    peers_[node].pace.Finished();
  }
  tasks_.Forget(queued);
  return task;
}

TaskPtr ForwardedTasks::Returned(const NodeId& node, const TaskId& id) {
  QueuedTask* const task = Find(node, id);
  if (task == nullptr) return nullptr;
  TaskPtr returned = task->task;
  Leave(*task);
  if (task->cancelled) {
    LoseCancelled(task);
  } else if (++task->returns < kReturnsMax) {
    task->node = NodeId();
    queue_.PushAgain(task);
  } else {
    tasks_.Lose(LoseTask{LoseTask::Why::kRefused, {}, 0, {}, 0, node, {}}, task);
  }
  return returned;
}

void ForwardedTasks::GaveBack(const NodeId& node, const std::vector<TaskId>& tasks) {
  std::vector<QueuedTask*> back;
  for (const TaskId& id : tasks) {
    QueuedTask* const task = Find(node, id);
    if (task == nullptr) continue;
    Leave(*task);
    task->node = NodeId();
    if (task->cancelled)
      LoseCancelled(task);
    else
      back.push_back(task);
  }
  if (const auto peer = peers_.find(node); peer != peers_.end()) peer->second.recalling = false;
  std::sort(back.begin(), back.end(), IsYounger);  // the oldest goes to the front of the queue last
  for (QueuedTask* const task : back) queue_.PushAgain(task);
}

NodeId ForwardedTasks::HostOf(const ActorId& actor) const {
  for (const auto& [node, actors] : actors_there_)
    if (actors.contains(actor)) return node;
  return {};
}

void ForwardedTasks::ActorLeft(const NodeId& node, const ActorId& actor) {
  const auto there = actors_there_.find(node);
  if (there == actors_there_.end()) return;
  const auto held = there->second.find(actor);
  if (held == there->second.end()) return;
  view_->Ended(node, held->second);
  there->second.erase(held);
  if (there->second.empty()) actors_there_.erase(there);
}

std::vector<QueuedTask*> ForwardedTasks::MachineLost(const NodeId& node) {
  actors_there_.erase(node);
  peers_.erase(node);
  const auto there = there_.extract(node);
  if (there.empty()) return {};
  std::vector<QueuedTask*> tasks(there.mapped().begin(), there.mapped().end());
  std::sort(tasks.begin(), tasks.end(), IsYounger);
  return tasks;
}

void ForwardedTasks::Recall(const NodeId& node, Peer& peer) {
  if (!std::exchange(peer.recalling, true)) decisions_.emplace_back(RecallForwarded{node});
}

void ForwardedTasks::RecallAll() {
  for (auto& [node, peer] : peers_)
    if (peer.ahead > 0) Recall(node, peer);
}

void ForwardedTasks::Tick() {
  for (auto& [node, peer] : peers_) {
    peer.pace.Tick();
    if (peer.pace.Behind(peer.ahead)) Recall(node, peer);
  }
}

bool ForwardedTasks::WantsTick() const {
  const bool more = queue_.size() > 0;
  return std::any_of(peers_.begin(), peers_.end(), [more](const auto& each) {
    const Peer& peer = each.second;
    return (peer.ahead > 0 && !peer.recalling) || (more && peer.pace.Moved());
  });
}

}  // namespace raylet
