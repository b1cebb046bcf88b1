#include "raylet/scheduling/dispatcher.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/check.h"

namespace raylet {

// The resources left after the tasks that this pass has placed, and how far each shape has been placed. The tasks in
// front of `next` run here as soon as there is a worker.
struct Dispatcher::Plan {
  struct Progress {
    TaskList::const_iterator next;  // to be placed
    size_t placed = 0;
    bool stuck = false;  // the next task fits nowhere now, so no later one does
  };
  explicit Plan(const ResourceLedger& ledger) : left(ledger) {}
  Progress& Of(const TaskShape& shape) {
    return shapes.try_emplace(&shape, Progress{shape.tasks.begin()}).first->second;
  }
  ResourceLedger left;
  std::unordered_map<const TaskShape*, Progress> shapes;
  std::map<WorkerGroup, size_t> wanted;  // tasks that lack only a worker
  size_t wanted_of_all = 0;              // by all groups, actors not counted
};

void Dispatcher::JoinCluster(const ClusterView& view, const ObjectPlaces& places) {
  places_ = &places;
  policy_.emplace(view);
}

void Dispatcher::Pass() {
  reserve_ = parts_.workers.Reserve();
  if (parts_.queue.size() > 0) {
    if (parts_.forwarded.AnyUsable())
      PassInCluster();
    else
      PassHere();
  }
  if (parts_.queue.size() > 0) {
    parts_.ahead.Send();
    if (policy_.has_value()) {
      EachJobInTurn([this](JobId job) {
        const bool sent = parts_.forwarded.SendAheadOne(job);
        if (sent) last_job_ = job;
        return sent;
      });
    }
  }
  parts_.workers.TrimIdle(reserve_.blocked(), parts_.queue.size() > 0);
}

// One task of each job in turn, until nothing more fits.
void Dispatcher::EachJobInTurn(const std::function<bool(JobId)>& dispatch_next) {
  std::vector<JobId> jobs = parts_.queue.jobs();
  const auto next = std::upper_bound(jobs.begin(), jobs.end(), last_job_);
  std::rotate(jobs.begin(), next, jobs.end());
  for (bool progress = true; progress;) {
    progress = false;
    for (const JobId job : jobs) progress = dispatch_next(job) || progress;
  }
}

void Dispatcher::PassHere() {
  EachJobInTurn([this](JobId job) { return DispatchOne(job); });
  ResourceLedger left = parts_.ledger;
  size_t wanted_of_all = 0;
  StartMissing([&](const WorkerGroup& group) {
    const size_t wanted = WantedWorkers(group, left, wanted_of_all);
    wanted_of_all += wanted;
    return wanted;
  });
}

bool Dispatcher::DispatchOne(JobId job) {
  const auto& shapes = parts_.queue.shapes(job);
  size_t first = shapes.size();
  for (size_t i = 0; i < shapes.size(); ++i) {
    if (!parts_.ledger.Fits(shapes[i]->needs) || !MayBegin(*shapes[i]) ||
        !parts_.workers.HasIdle(shapes[i]->group, shapes[i]->dedicated))
      continue;
    if (first == shapes.size() || GoesBefore(*shapes[i]->tasks.front(), *shapes[first]->tasks.front())) first = i;
  }
  if (first == shapes.size()) return false;
  const ResourceNeeds needs = *shapes[first]->needs;
  Begin(parts_.queue.PopFront(job, first), needs);
  return true;
}

void Dispatcher::Begin(QueuedTask* task, const ResourceNeeds& needs) {
  WorkerTable::Worker& worker = parts_.workers.TakeIdle(task->task->group(), task->task->CreatesActor());
  last_job_ = task->task->job;
  if (!task->task->CreatesActor()) reserve_.Began();
  parts_.workers.Begin(worker, task, needs);
  parts_.decisions.emplace_back(RunTask{worker.id, task->task});
  parts_.tasks.LetGo(*task);
}

// How many of a group's ready tasks have their resources and lack only a worker. The CPU count bounds tasks that ask
// for no CPU. Nothing else would keep a thousand of them from taking a thousand processes.
size_t Dispatcher::WantedWorkers(const WorkerGroup& group, ResourceLedger& left, size_t wanted_of_others) const {
  size_t wanted = 0;
  for (const auto& shape : parts_.queue.shapes(group.job)) {
    if (!shape->needs.has_value() || shape->group != group) continue;
    const ResourceNeeds& needs = *shape->needs;
    size_t most = shape->tasks.size();
    if (!shape->dedicated && needs.cpu_units() == 0) {
      const auto bound = static_cast<size_t>(std::max<int64_t>(1, parts_.ledger.cpus()));
      const size_t running = parts_.workers.RunningTasks(group.job);
      most = std::min(most, bound > running ? bound - running : 0);
    }
    for (size_t i = 0; i < most && wanted < parts_.limits.workers_max && MayBegin(*shape, wanted_of_others + wanted) &&
                       left.Fits(needs);
         ++i) {
      left.Take(needs);
      wanted++;
    }
  }
  return wanted;
}

void Dispatcher::StartMissing(const std::function<size_t(const WorkerGroup&)>& wanted_of) {
  parts_.workers.StartMissing(parts_.queue, [&](const WorkerGroup& group) {
    const size_t wanted = wanted_of(group);
    RAYLET_CHECK(wanted == 0 || !parts_.tasks.HasEnded(group.job), "job ", group.job,
                 " has ended, and has tasks that are ready");
    return wanted;
  });
}

void Dispatcher::PassInCluster() {
  Plan plan(parts_.ledger);
  EachJobInTurn([&](JobId job) { return PlaceOne(job, plan); });
  // Starts workers for placed tasks only. A worker of another group would not help them.
  StartMissing([&](const WorkerGroup& group) { return std::min(plan.wanted[group], parts_.limits.workers_max); });
}

bool Dispatcher::PlaceOne(JobId job, Plan& plan) {
  const auto& shapes = parts_.queue.shapes(job);
  size_t first = shapes.size();
  QueuedTask* task = nullptr;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Plan::Progress& progress = plan.Of(*shapes[i]);
    if (progress.stuck || progress.next == shapes[i]->tasks.end()) continue;
    QueuedTask* const next = *progress.next;
    if (task != nullptr && GoesBefore(*task, *next)) continue;
    first = i;
    task = next;
  }
  if (task == nullptr) return false;
  const TaskShape& shape = *shapes[first];
  Plan::Progress& progress = plan.Of(shape);
  const Placement placement = Place(*task, shape.needs, plan.left);
  if (placement.where == Placement::Where::kThere) {
    ++progress.next;
    parts_.queue.Remove(task);
    last_job_ = job;
    parts_.forwarded.Send(task, placement.node);
    return true;
  }
  // The plan's devices are also held by tasks that lack a worker. So the ledger's may have room elsewhere, or none.
  if (placement.where != Placement::Where::kHere || !MayBegin(shape, plan.wanted_of_all) ||
      !parts_.ledger.Fits(shape.needs)) {
    progress.stuck = true;
    return true;  // another shape may fit
  }
  if (const auto remote = parts_.tasks.NotHere(*task->task); !remote.empty()) {
    ++progress.next;
    parts_.queue.Remove(task);
    parts_.tasks.WaitFor(task, remote);
    return true;
  }
  const ResourceNeeds needs = *shape.needs;  // the shape may go with the task
  plan.left.Take(needs);
  if (!parts_.workers.HasIdle(shape.group, shape.dedicated)) {
    plan.wanted[shape.group]++;
    if (!shape.dedicated) plan.wanted_of_all++;
    // Tasks that ask for nothing would all fit. It is enough to plan as many as there are CPUs.
    ++progress.next;
    if (++progress.placed >= static_cast<size_t>(std::max<int64_t>(1, parts_.ledger.cpus())) && needs.empty())
      progress.stuck = true;
    return true;
  }
  ++progress.next;
  parts_.queue.Remove(task);
  Begin(task, needs);
  return true;
}

Placement Dispatcher::Place(const QueuedTask& task, const std::optional<ResourceNeeds>& needs,
                            const ResourceLedger& left) const {
  // A task from another machine is not forwarded once more.
  if (task.task->IsRemote()) return {left.Fits(needs) ? Placement::Where::kHere : Placement::Where::kNowhereYet, {}};
  ArgumentBytes bytes;
  for (const ObjectId& object : task.task->stored_arguments) places_->AddBytes(object, bytes);
  return policy_->Choose(task.task->resources, needs, left, bytes);
}

}  // namespace raylet
