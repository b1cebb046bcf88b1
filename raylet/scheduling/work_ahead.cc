#include "raylet/scheduling/work_ahead.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/strings.h"

namespace raylet {

// Only the first task, and only where no other job waits for its turn. A shape that never runs on this machine has no
// turn here.
void WorkAhead::Send() {
  JobId job = 0;
  size_t first = 0;  // shape of `job`
  size_t jobs = 0;
  for (const JobId id : queue_.jobs()) {
    const auto& shapes = queue_.shapes(id);
    size_t found = shapes.size();
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (!shapes[i]->needs.has_value()) continue;
      if (found == shapes.size() || GoesBefore(*shapes[i]->tasks.front(), *shapes[found]->tasks.front())) found = i;
    }
    if (found == shapes.size()) continue;
    if (++jobs > 1) return;
    job = id;
    first = found;
  }
  const bool overdrawn =
      std::any_of(ledger_.lines().begin(), ledger_.lines().end(), [](const auto& line) { return line.free_units < 0; });
  if (jobs == 1 && !overdrawn) SendOf(job, first);
}

// A worker that runs a deeper task may be one of those that PoolReserve keeps for deep ones: it takes nothing less
// deep.
void WorkAhead::SendOf(JobId job, size_t index) {
  const TaskShape& shape = *queue_.shapes(job)[index];
  std::vector<Worker*> takers;
  for (auto& [id, worker] : workers_.all()) {
    if (!shape.dedicated && worker.state == WorkerTable::State::kBusy && worker.job == job && !worker.actor &&
        worker.lease == 0 && !worker.blocked && !worker.recalling && worker.held == shape.needs &&
        worker.environment == shape.group.environment && HasRoom(worker) &&
        (worker.task == nullptr || worker.task->task->depth <= shape.depth))
      takers.push_back(&worker);
  }
  // Gives each worker one task in turn.
  for (size_t i = 0; !takers.empty();) {
    Worker& worker = *takers[i];
    QueuedTask* const task = shape.tasks.front();
    if (!tasks_.NotHere(*task->task).empty()) return;
    const bool last = shape.tasks.size() == 1;
    queue_.PopFront(job, index);
    task->state = QueuedTask::State::kAhead;
    task->worker = worker.id;
    worker.ahead.push_back(task);
    worker.ahead_bytes += task->task->body.size();
    decisions_.emplace_back(RunTask{worker.id, task->task, true});
    if (last) return;  // the shape went with its last task
    if (HasRoom(worker))
      ++i;
    else
      takers.erase(takers.begin() + static_cast<std::ptrdiff_t>(i));
    if (i == takers.size()) i = 0;
  }
}

void WorkAhead::Next(Worker& worker) {
  workers_.Unblock(worker);
  worker.task = worker.ahead.front();
  worker.ahead.pop_front();
  worker.ahead_bytes -= worker.task->task->body.size();
  worker.task->state = QueuedTask::State::kRunning;
  tasks_.LetGo(*worker.task);
  worker.may_not_have_begun = worker.recalling;
  if (!worker.task->owner_gone) return;
  worker.state = WorkerTable::State::kStopping;  // it gets no more work
  decisions_.emplace_back(KillWorker{worker.id});
}

void WorkAhead::Recall(Worker& worker) {
  if (worker.ahead.empty() || std::exchange(worker.recalling, true)) return;
  RecallFromWorker recall{worker.id, {}};
  for (const QueuedTask* const task : worker.ahead) recall.tasks.push_back(task->task->id);
  decisions_.emplace_back(std::move(recall));
}

void WorkAhead::RecallOwnedBy(ProcessId owner) {
  for (auto& [id, worker] : workers_.all())
    if (std::any_of(worker.ahead.begin(), worker.ahead.end(),
                    [owner](const QueuedTask* task) { return task->task->owner == owner; }))
      Recall(worker);
}

void WorkAhead::RecalledBy(const NodeId& from) {
  std::vector<TaskId> returned;
  const auto theirs = [&](const QueuedTask& each) { return each.task->from == from && !each.task->CreatesActor(); };
  for (QueuedTask* const task : queue_.RemoveIf(theirs)) {
    returned.push_back(task->task->id);
    tasks_.Forget(task);
  }
  decisions_.emplace_back(ReturnRecalled{from, std::move(returned)});
  for (auto& [id, worker] : workers_.all()) {
    for (QueuedTask* const task : worker.ahead) {
      if (task->task->from != from) continue;
      task->going_home = true;
      Recall(worker);
    }
  }
}

Result<void> WorkAhead::GaveBack(WorkerId id, const std::vector<TaskId>& tasks) {
  Worker* const worker = workers_.Find(id);
  const bool not_begun = worker != nullptr && worker->may_not_have_begun && worker->task != nullptr && !tasks.empty() &&
                         tasks.front() == worker->task->task->id;
  const auto ahead = std::span(tasks).subspan(not_begun ? 1 : 0);
  if (worker == nullptr || !worker->recalling ||
      !std::equal(ahead.begin(), ahead.end(), worker->ahead.begin(), worker->ahead.end(),
                  [](const TaskId& task, const QueuedTask* queued) { return task == queued->task->id; })) {
    return Fail(ErrorCode::kProtocolError, StrCat("a worker gives back ", tasks.size(),
                                                  " tasks, and they are not those that it was not to start"));
  }
  worker->recalling = false;
  Homes homes;
  AllComeBack(*worker, homes);
  if (not_begun) {
    ComeBack(std::exchange(worker->task, nullptr), homes);
    if (worker->state == WorkerTable::State::kBusy) {  // otherwise its resources go back when the worker has gone
      workers_.GiveBack(*worker);
      workers_.BecomeIdle(*worker);
    }
  }
  SendHome(homes);
  return {};
}

void WorkAhead::Gone(Worker& worker) {
  Homes homes;
  AllComeBack(worker, homes);
  SendHome(homes);
}

// The oldest goes to the front of the queue last.
void WorkAhead::AllComeBack(Worker& worker, Homes& homes) {
  for (auto task = worker.ahead.rbegin(); task != worker.ahead.rend(); ++task) ComeBack(*task, homes);
  worker.ahead.clear();
  worker.ahead_bytes = 0;
}

// The task has not started. It becomes ready again, goes back to its machine, or is dropped because nobody wants it.
void WorkAhead::ComeBack(QueuedTask* task, Homes& homes) {
  task->worker = 0;
  if (task->cancelled && !task->owner_gone)
    return tasks_.Lose(LoseTask{LoseTask::Why::kCancelled, {}, 0, {}, 0, {}, {}}, task);
  if (task->group_removed && !task->owner_gone)
    return tasks_.Lose(LoseTask{LoseTask::Why::kGroupRemoved, {}, 0, {}, 0, {}, {}}, task);
  if (!task->owner_gone && !task->going_home) return queue_.PushAgain(task);
  if (!task->owner_gone) homes[task->task->from].push_back(task->task->id);
  tasks_.Forget(task);
}

void WorkAhead::SendHome(Homes& homes) {
  for (auto& [node, tasks] : homes) decisions_.emplace_back(ReturnRecalled{node, std::move(tasks)});
}

void WorkAhead::Tick() {
  for (auto& [id, worker] : workers_.all()) {
    worker.pace.Tick();
    if (worker.pace.Behind(worker.ahead.size())) Recall(worker);
  }
}

bool WorkAhead::WantsTick() const {
  const bool more = queue_.size() > 0;
  return std::any_of(workers_.all().begin(), workers_.all().end(), [more](const auto& each) {
    const Worker& worker = each.second;
    return (!worker.ahead.empty() && !worker.recalling) || (more && worker.pace.Moved());
  });
}

}  // namespace raylet
