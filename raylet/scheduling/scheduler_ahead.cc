// The scheduler's part in sending work before there is room for it: to workers that are busy, and to other machines, so
// that short tasks do not wait for a round trip each. What turns out to wait behind long work is recalled.
#include <algorithm>
#include <span>

#include "base/strings.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

// After all that fits has been placed: only the oldest, and only where no other job waits for its turn. What never runs
// on this machine has no turn here.
void Scheduler::SendAhead() {
  if (queue_.size() == 0) return;
  size_t jobs = 0;
  JobId job = 0;
  size_t oldest = 0;  // shape of `job`
  for (const JobId id : queue_.jobs()) {
    const auto& shapes = queue_.shapes(id);
    size_t found = shapes.size();
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (!shapes[i]->needs.has_value()) continue;
      if (found == shapes.size() || GoesBefore(*shapes[i]->tasks.front(), *shapes[found]->tasks.front())) found = i;
    }
    if (found == shapes.size()) continue;
    if (++jobs > 1) break;
    job = id;
    oldest = found;
  }
  const bool overdrawn =
      std::any_of(ledger_.lines().begin(), ledger_.lines().end(), [](const auto& line) { return line.free_units < 0; });
  if (jobs == 1 && !overdrawn) SendAheadHere(job, oldest);
  if (view_ != nullptr) EachJobInTurn([this](JobId id) { return ForwardAheadOne(id); });
}

// A task ahead runs with what the worker holds, and takes nothing of its own: it asks for exactly that.
void Scheduler::SendAheadHere(JobId job, size_t index) {
  const TaskShape& shape = *queue_.shapes(job)[index];
  std::vector<Worker*> takers;
  for (auto& [id, worker] : workers_) {
    if (!shape.dedicated && worker.state == WorkerState::kBusy && worker.job == job && !worker.actor &&
        !worker.blocked && !worker.recalling && worker.held == shape.needs &&
        worker.ahead.size() < worker.pace.Window(kAheadPerWorkerMax) && worker.ahead_bytes < kAheadBytesPerWorkerMax)
      takers.push_back(&worker);
  }
  // One each in turn.
  for (size_t i = 0; !takers.empty();) {
    Worker& worker = *takers[i];
    QueuedTask* const task = shape.tasks.front();
    if (places_ != nullptr && !NotHere(*task->task).empty()) break;
    const bool last = shape.tasks.size() == 1;
    queue_.PopFront(job, index);
    task->state = QueuedTask::State::kAhead;
    task->worker = worker.id;
    worker.ahead.push_back(task);
    worker.ahead_bytes += task->task->body.size();
    decisions_.emplace_back(RunTask{worker.id, task->task, true});
    if (last) break;  // the shape has gone with it
    if (worker.ahead.size() >= worker.pace.Window(kAheadPerWorkerMax) || worker.ahead_bytes >= kAheadBytesPerWorkerMax)
      takers.erase(takers.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
    if (i == takers.size()) i = 0;
  }
}

bool Scheduler::ForwardAheadOne(JobId id) {
  const auto& shapes = queue_.shapes(id);
  size_t oldest = shapes.size();
  const ClusterView::Node* best = nullptr;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const QueuedTask& task = *shapes[i]->tasks.front();
    // What may not run twice waits where it is known whether it runs; what has arguments goes where they are.
    if (task.task->CameFromElsewhere() || task.task->CreatesActor() || task.retries_left == 0 ||
        !task.task->stored_arguments.empty())
      continue;
    if (oldest < shapes.size() && GoesBefore(*shapes[oldest]->tasks.front(), task)) continue;
    const ClusterView::Node* with_room = nullptr;
    size_t most_room = 0;
    for (const auto& [node_id, peer] : peers_) {
      const auto actors = actors_there_.find(node_id);
      const size_t window =
          peer.pace.Window(kInFlightPerNodeMax) + (actors == actors_there_.end() ? 0 : actors->second.size());
      const ClusterView::Node* const node = view_->Find(node_id);
      if (peer.recalling || peer.ahead_bytes >= kAheadBytesPerNodeMax || node == nullptr ||
          node->state != NodeState::kUp || node->in_flight_tasks + most_room >= window ||
          !view_->Feasible(*node, task.task->resources))
        continue;
      with_room = node;
      most_room = window - node->in_flight_tasks;
    }
    if (with_room == nullptr) continue;
    best = with_room;
    oldest = i;
  }
  if (best == nullptr) return false;
  QueuedTask* const task = queue_.PopFront(id, oldest);
  last_job_ = id;
  task->beyond_fit = true;
  Peer& peer = peers_.at(best->id);
  ++peer.ahead;
  peer.ahead_bytes += task->task->body.size();
  Forward(task, best->id);
  return true;
}

void Scheduler::LeaveNode(QueuedTask& task) {
  view_->Ended(task.node, task.task->resources);
  if (!std::exchange(task.beyond_fit, false)) return;
  Peer& peer = peers_.at(task.node);
  --peer.ahead;
  peer.ahead_bytes -= task.task->body.size();
}

// It has begun the next one already.
void Scheduler::NextAhead(Worker& worker) {
  Unblock(worker);
  worker.task = worker.ahead.front();
  worker.ahead.pop_front();
  worker.ahead_bytes -= worker.task->task->body.size();
  worker.task->state = QueuedTask::State::kRunning;
  LetGo(*worker.task);
  worker.may_not_have_begun = worker.recalling;
  if (!worker.task->owner_gone) return;
  worker.state = WorkerState::kStopping;  // it gets no more work
  decisions_.emplace_back(KillWorker{worker.id});
}

void Scheduler::Recall(Worker& worker) {
  if (worker.ahead.empty() || std::exchange(worker.recalling, true)) return;
  RecallFromWorker recall{worker.id, {}};
  for (const QueuedTask* const task : worker.ahead) recall.tasks.push_back(task->task->id);
  decisions_.emplace_back(std::move(recall));
}

void Scheduler::OwnerBehind(ProcessId process, bool behind) {
  dirty_ = true;
  if (!behind) return queue_.Release(process);
  queue_.Hold(process);
  if (!owned_.contains(process)) return;
  for (auto& [id, worker] : workers_)
    if (std::any_of(worker.ahead.begin(), worker.ahead.end(),
                    [process](const QueuedTask* task) { return task->task->owner == process; }))
      Recall(worker);
  for (auto& [node, peer] : peers_) {
    if (peer.ahead == 0 || std::exchange(peer.recalling, true)) continue;
    decisions_.emplace_back(RecallForwarded{node});
  }
}

Result<void> Scheduler::WorkerGaveBack(WorkerId id, const std::vector<TaskId>& tasks) {
  Worker* const worker = Find(id);
  const bool not_begun = worker != nullptr && worker->may_not_have_begun && worker->task != nullptr && !tasks.empty() &&
                         tasks.front() == worker->task->task->id;
  const auto ahead = std::span(tasks).subspan(not_begun ? 1 : 0);
  if (worker == nullptr || !worker->recalling ||
      !std::equal(ahead.begin(), ahead.end(), worker->ahead.begin(), worker->ahead.end(),
                  [](const TaskId& task, const QueuedTask* queued) { return task == queued->task->id; })) {
    return Fail(ErrorCode::kProtocolError, StrCat("a worker gives back ", tasks.size(),
                                                  " tasks, and they are not those that it was not to start"));
  }
  dirty_ = true;
  worker->recalling = false;
  std::map<NodeId, std::vector<TaskId>> home;
  for (auto task = worker->ahead.rbegin(); task != worker->ahead.rend(); ++task) ComeBack(*task, home);
  worker->ahead.clear();
  worker->ahead_bytes = 0;
  if (not_begun) {
    ComeBack(std::exchange(worker->task, nullptr), home);
    if (worker->state == WorkerState::kBusy) {  // otherwise its resources go back with it
      GiveBack(*worker);
      BecomeIdle(*worker);
    }
  }
  for (auto& [node, returned] : home) decisions_.emplace_back(ReturnRecalled{node, std::move(returned)});
  return {};
}

// Not started: it is ready again, goes home, or nobody wants it any more.
void Scheduler::ComeBack(QueuedTask* task, std::map<NodeId, std::vector<TaskId>>& home) {
  task->worker = 0;
  if (!task->owner_gone && !task->going_home) return queue_.PushAgain(task);
  if (!task->owner_gone) home[task->task->from].push_back(task->task->id);
  Forget(task);
}

void Scheduler::RecalledBy(const NodeId& from) {
  dirty_ = true;
  std::vector<TaskId> returned;
  const auto theirs = [&](const QueuedTask& each) { return each.task->from == from && !each.task->CreatesActor(); };
  for (QueuedTask* const task : queue_.RemoveIf(theirs)) {
    returned.push_back(task->task->id);
    Forget(task);
  }
  decisions_.emplace_back(ReturnRecalled{from, std::move(returned)});
  for (auto& [id, worker] : workers_) {
    for (QueuedTask* const task : worker.ahead) {
      if (task->task->from != from) continue;
      task->going_home = true;
      Recall(worker);
    }
  }
}

void Scheduler::NodeGaveBack(const NodeId& node, const std::vector<TaskId>& tasks) {
  dirty_ = true;
  std::vector<QueuedTask*> back;
  for (const TaskId& id : tasks) {
    QueuedTask* const task = FindForwarded(node, id);
    if (task == nullptr) continue;
    LeaveNode(*task);
    task->node = NodeId();
    back.push_back(task);
  }
  if (const auto peer = peers_.find(node); peer != peers_.end()) peer->second.recalling = false;
  // The oldest goes to the front of the queue last.
  std::sort(back.begin(), back.end(),
            [](const QueuedTask* a, const QueuedTask* b) { return a->sequence > b->sequence; });
  for (QueuedTask* const task : back) queue_.PushAgain(task);
}

void Scheduler::Tick() {
  dirty_ = true;  // windows have changed
  for (auto& [id, worker] : workers_) {
    worker.pace.Tick();
    if (worker.pace.Behind(worker.ahead.size())) Recall(worker);
  }
  for (auto& [node, peer] : peers_) {
    peer.pace.Tick();
    if (!peer.pace.Behind(peer.ahead) || std::exchange(peer.recalling, true)) continue;
    decisions_.emplace_back(RecallForwarded{node});
  }
}

bool Scheduler::WantsTick() const {
  const bool more = queue_.size() > 0;
  const auto wanted = [more](const AheadPace& pace, size_t ahead, bool recalling) {
    return (ahead > 0 && !recalling) || (more && pace.Moved());
  };
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const auto& each) {
                       const Worker& worker = each.second;
                       return wanted(worker.pace, worker.ahead.size(), worker.recalling);
                     }) ||
         std::any_of(peers_.begin(), peers_.end(), [&](const auto& each) {
           return wanted(each.second.pace, each.second.ahead, each.second.recalling);
         });
}

}  // namespace raylet
