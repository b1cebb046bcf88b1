// The scheduler's part in a cluster: what runs here, what goes to another machine, and what comes back from there.
#include <algorithm>
#include <unordered_map>

#include "raylet/scheduling/scheduler.h"

namespace raylet {

// One pass: what is free once the tasks that it has placed have theirs, and how far each shape has been placed. The
// tasks in front of `placed` run here as soon as there is a worker.
struct Scheduler::Plan {
  struct Progress {
    size_t placed = 0;
    bool stuck = false;  // the next one fits nowhere now, nor do those after it
  };
  explicit Plan(const ResourceLedger& ledger) : left(ledger) {}
  ResourceLedger left;
  std::unordered_map<const TaskShape*, Progress> shapes;
  std::unordered_map<JobId, size_t> wanted;  // tasks that have all but a worker
  size_t wanted_of_all = 0;                  // by all jobs, actors not counted
};

void Scheduler::JoinCluster(ClusterView& view, const ObjectPlaces& places) {
  view_ = &view;
  places_ = &places;
  policy_.emplace(view);
  dirty_ = true;
}

void Scheduler::ScheduleInCluster() {
  Plan plan(ledger_);
  EachJobInTurn([&](JobId job) { return PlaceOne(job, plan); });
  // For those that were placed, and no others: a worker of another job would not help them.
  StartMissing([&](JobId job) { return std::min(plan.wanted[job], limits_.workers_max); });
}

bool Scheduler::PlaceOne(JobId id, Plan& plan) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return false;
  const auto& shapes = queue_.shapes(id);
  size_t oldest = shapes.size();
  const QueuedTask* first = nullptr;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Plan::Progress& progress = plan.shapes[shapes[i].get()];
    if (progress.stuck || progress.placed >= shapes[i]->tasks.size()) continue;
    const QueuedTask* const next = shapes[i]->tasks[progress.placed];
    if (first != nullptr && GoesBefore(*first, *next)) continue;
    oldest = i;
    first = next;
  }
  if (oldest == shapes.size()) return false;
  const TaskShape& shape = *shapes[oldest];
  Plan::Progress& progress = plan.shapes[&shape];
  QueuedTask* const task = shape.tasks[progress.placed];
  const std::optional<ResourceNeeds> needs = shape.needs;
  const Placement placement = Place(*task, needs, plan.left);
  if (placement.where == Placement::Where::kThere) {
    queue_.Pop(id, oldest, progress.placed);
    last_job_ = id;
    Forward(task, placement.node);
    return true;
  }
  if (placement.where != Placement::Where::kHere || !MayBegin(shape, plan.wanted_of_all)) {
    progress.stuck = true;
    return true;  // another shape may fit
  }
  if (const auto elsewhere = NotHere(*task->task); !elsewhere.empty()) {
    queue_.Pop(id, oldest, progress.placed);
    WaitFor(task, elsewhere);
    return true;
  }
  plan.left.Take(*needs);
  if (found->second.idle.empty()) {
    plan.wanted[id]++;
    if (!shape.dedicated) plan.wanted_of_all++;
    // Those that ask for nothing would all fit: as many as there are CPUs are enough to plan.
    if (++progress.placed >= static_cast<size_t>(std::max<int64_t>(1, ledger_.cpus())) && needs->empty())
      progress.stuck = true;
    return true;
  }
  queue_.Pop(id, oldest, progress.placed);
  Worker& worker = workers_.at(found->second.idle.back());
  found->second.idle.pop_back();
  last_job_ = id;
  Dispatch(worker, task, *needs);
  return true;
}

Placement Scheduler::Place(const QueuedTask& task, const std::optional<ResourceNeeds>& needs,
                           const ResourceLedger& left) const {
  // What came from elsewhere has travelled enough.
  if (task.task->CameFromElsewhere())
    return {left.Fits(needs) ? Placement::Where::kHere : Placement::Where::kNowhereYet, {}};
  ArgumentBytes bytes;
  for (const ObjectId& object : task.task->stored_arguments) places_->AddBytes(object, bytes);
  return policy_->Choose(task.task->resources, left, bytes);
}

std::vector<ObjectId> Scheduler::NotHere(const Task& task) const {
  std::vector<ObjectId> elsewhere;
  std::copy_if(task.stored_arguments.begin(), task.stored_arguments.end(), std::back_inserter(elsewhere),
               [this](const ObjectId& object) { return !places_->IsHere(object); });
  return elsewhere;
}

void Scheduler::Forward(QueuedTask* task, const NodeId& node) {
  task->state = QueuedTask::State::kForwarded;
  task->node = node;
  view_->Sent(node, task->task->resources);
  decisions_.emplace_back(ForwardTask{node, task->task});
  LetGo(*task);
}

QueuedTask* Scheduler::FindForwarded(const NodeId& node, const TaskId& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end() || found->second.state != QueuedTask::State::kForwarded || found->second.node != node)
    return nullptr;
  return &found->second;
}

TaskPtr Scheduler::ForwardedFinished(const NodeId& node, const TaskId& id, bool succeeded) {
  QueuedTask* const queued = FindForwarded(node, id);
  if (queued == nullptr) return nullptr;
  dirty_ = true;
  TaskPtr task = queued->task;
  if (task->CreatesActor() && succeeded) {
    actors_there_[node].emplace(task->actor->id, task->resources);
  } else {
    LeaveNode(*queued);
    peers_[node].pace.Finished();
  }
  Forget(queued);
  return task;
}

void Scheduler::ActorLeft(const NodeId& node, const ActorId& actor) {
  const auto there = actors_there_.find(node);
  if (there == actors_there_.end()) return;
  const auto held = there->second.find(actor);
  if (held == there->second.end()) return;
  dirty_ = true;
  view_->Ended(node, held->second);
  there->second.erase(held);
  if (there->second.empty()) actors_there_.erase(there);
}

TaskPtr Scheduler::ForwardedReturned(const NodeId& node, const TaskId& id) {
  QueuedTask* const task = FindForwarded(node, id);
  if (task == nullptr) return nullptr;
  dirty_ = true;
  const TaskPtr returned = task->task;
  LeaveNode(*task);
  if (++task->returns < kReturnsMax) {
    task->node = NodeId();
    queue_.PushAgain(task);
    return returned;
  }
  decisions_.emplace_back(LoseTask{LoseTask::Why::kRefused, task->task, 0, {}, 0, node, {}});
  Forget(task);
  return returned;
}

void Scheduler::ObjectWillNotCome(const ObjectId& object, const std::string& why) {
  std::vector<std::pair<TaskId, ObjectId>> waiting;
  for (const TaskId& task : dependencies_.TasksFor(object)) waiting.emplace_back(task, object);
  LoseWaitingFor(waiting, why);
  dirty_ = true;
}

WorkerId Scheduler::Abandon(const NodeId& from, const TaskId& id) {
  const auto found = remote_tasks_.find(id);
  if (found == remote_tasks_.end() || found->second->task->from != from) return 0;
  QueuedTask* const task = found->second;
  if (Cancel(id)) return 0;
  task->owner_gone = true;
  if (task->state == QueuedTask::State::kRunning) return task->worker;
  Recall(workers_.at(task->worker));
  return 0;
}

std::map<NodeId, Scheduler::RemoteWork> Scheduler::WorkFromElsewhere() const {
  std::map<NodeId, RemoteWork> work;
  for (const auto& [id, task] : remote_tasks_) {
    RemoteWork& its = work[task->task->from];
    for (const auto& amount : task->task->resources.amounts()) {
      its.units[amount.name] += amount.units;
      if (task->state != QueuedTask::State::kRunning) its.queued_units[amount.name] += amount.units;
    }
  }
  for (const auto& [id, worker] : workers_) {
    if (worker.hosts == nullptr || !worker.hosts->CameFromElsewhere()) continue;
    for (const auto& amount : worker.hosts->resources.amounts())
      work[worker.hosts->from].units[amount.name] += amount.units;
  }
  return work;
}

std::vector<WorkerId> Scheduler::NodeGone(const NodeId& node, MachineNumber machine) {
  auto running = DropTasks([&](const QueuedTask& task) { return task.task->from == node; });
  actors_there_.erase(node);  // the view has forgotten what was there
  std::vector<QueuedTask*> forwarded;
  for (auto& [id, task] : tasks_)
    if (task.state == QueuedTask::State::kForwarded && task.node == node) forwarded.push_back(&task);
  // The oldest goes to the front of the queue last.
  std::sort(forwarded.begin(), forwarded.end(),
            [](const QueuedTask* a, const QueuedTask* b) { return a->sequence > b->sequence; });
  peers_.erase(node);
  for (QueuedTask* const task : forwarded)
    RetryOrLose(task, LoseTask{LoseTask::Why::kNodeDied, task->task, 0, {}, 1, node, {}});
  LoseWaitingFor(dependencies_.WaitingForNode(machine), "its owner's machine is lost");
  dirty_ = true;
  return running;
}

}  // namespace raylet
