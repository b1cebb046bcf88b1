#include "client/ray/cluster/leased_tasks.h"

#include <cmath>
#include <iterator>

#include "base/log.h"
#include "base/process_start.h"
#include "base/strings.h"

namespace raylet::client {
namespace {

constexpr size_t kKindsMax = 64;
constexpr Duration kFeed = std::chrono::milliseconds(2);    // less than a worker's window
constexpr Duration kFeederSleep = std::chrono::seconds(1);  // a safeguard only
constexpr int kFeedsInVain = 8;                             // until the feeder sleeps

// Why the task has no result: its worker died `failure`.
FailurePtr FailureOfTask(const TaskSubmission& task, const Failure& failure) {
  auto told = std::make_shared<Failure>(failure);
  told->function = task.function;
  told->message +=
      StrCat(" while it ran task '", task.name.empty() ? task.function : task.name, "' (", task.function, ")");
  if (task.begun_before > 1) told->message += StrCat("; it was tried ", task.begun_before, " times");
  return told;
}

}  // namespace

// One lease, from the raylet's grant until the last answer.
class LeasedTasks::Lease final : public ChannelOwner, public std::enable_shared_from_this<Lease> {
 public:
  Lease(LeasedTasks& of, TaskKind& of_kind, uint64_t with_id) : tasks(of), kind(of_kind), id(with_id) {}
  void AfterReplies() override { tasks.AfterReplies(*this); }
  void ChannelBroken(CallChannel&, const Error& nonsense) override {
    Failure failure = *MakeFailure(wire::FailureKind::WorkerDied,
                                   StrCat("the worker wrote nonsense into its channel (", nonsense.message, ")"),
                                   "something overwrote shared memory: run the program under a sanitizer");
    failure.may_have_run = true;
    tasks.Lose(shared_from_this(), failure);
  }

  LeasedTasks& tasks;
  TaskKind& kind;
  const uint64_t id;
  std::shared_ptr<CallChannel> channel;
  // Under the lock of `tasks`:
  uint64_t taken = 0;  // answers, as the kind knows
  bool over = false;   // nothing is sent any more, and the kind knows
};

TaskKind* LeasedTasks::KindOf(const TaskSubmission& task) {
  const MutexLock lock(mutex_);
  const auto key = std::tie(task.depth, task.environment, task.resources, task.placement_group, task.bundle);
  if (last_kind_ != nullptr && static_cast<Kind*>(last_kind_)->key == key) return last_kind_;
  KindKey owned_key(key);
  const auto found = kinds_.find(owned_key);
  if (found != kinds_.end()) return last_kind_ = found->second.get();
  // Placement groups come and go, and their kinds stay. They leave room for others.
  if (kinds_.size() >= (task.placement_group.empty() ? kKindsMax : kKindsMax / 2)) return nullptr;
  auto kind = std::make_unique<Kind>();
  kind->key = owned_key;
  return last_kind_ = kinds_.emplace(std::move(owned_key), std::move(kind)).first->second.get();
}

bool LeasedTasks::Take(const TaskSubmissionPtr& task) {
  Todo todo;
  {
    const MutexLock lock(mutex_);
    TaskKind& kind = *task->kind;
    if (!kind.Keeps() || stopped_) return false;
    kind.Add(task);
    Fill(kind, TimePoint(), todo);
  }
  Carry(std::move(todo));
  return true;
}

void LeasedTasks::EndedByRaylet(TaskKind& kind) {
  Todo todo;
  {
    const MutexLock lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    kind.EndedByRaylet(now);
    if (!stopped_ && kind.WantsAnother(now)) todo.ask.push_back(&kind);
  }
  Carry(std::move(todo));
}

// ---- to the workers

void LeasedTasks::Fill(TaskKind& kind, TimePoint now, Todo& todo) {
  while (kind.Waits()) {
    TaskKind::Worker* const worker = kind.Pick();
    if (worker == nullptr) break;
    Lease& lease = *leases_.at(worker->lease);
    TaskSubmissionPtr task = kind.TakeNext();
    if (task->result->ready()) {  // cancelled
      todo.cancelled.push_back(std::move(task));
      continue;
    }
    record_.lend = 0;
    record_.result_id = task->result->id();
    record_.exception_retries = task->exception_retries;
    record_.function = task->function;
    record_.arguments.swap(task->views);
    PendingCall pending{task->result, 0, task};
    const auto sent = lease.channel->TryCall(record_, pending);
    record_.arguments.swap(task->views);
    if (sent == CallChannel::Sent::kYes) {
      pump_.Watch(lease.channel);
      ++worker->under_way;
    } else {
      worker->full = true;
      kind.PutBack(std::move(task));
    }
  }
  if (!kind.Waits()) return;
  if (now != TimePoint() && kind.WantsAnother(now)) todo.ask.push_back(&kind);
  FeedSoon();
}

void LeasedTasks::Ask(TaskKind& kind) {
  wire::LeaseRequestT request;
  const auto& [depth, environment, resources, group, bundle] = static_cast<Kind&>(kind).key;
  FillResources(resources, /*cpus=*/1, request.resources);
  request.depth = depth;
  request.environment = environment;
  SetPlacementGroup(request, group, bundle);
  parts_.link.Request(
      wire::RayletMessage::LeaseWorker, Encode(request),
      [this, &kind](Result<Frame> frame, std::vector<UniqueFd>& fds) { OnReply(kind, std::move(frame), fds); });
}

void LeasedTasks::OnReply(TaskKind& kind, Result<Frame> frame, std::vector<UniqueFd>& fds) {
  const auto reply = frame ? Parse<wire::LeaseReplyT>(frame->body) : Fail(frame.error());
  const bool granted = reply && FromStatus(*reply->status);
  auto lease = granted ? Open(kind, *reply, fds) : Fail(ErrorCode::kUnavailable, "no worker is free");
  if (granted && !lease) RAYLET_LOG(kError, "a leased worker cannot be used: ", lease.error().message);
  Todo todo;
  {
    const MutexLock lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    if (lease && !stopped_) {
      leases_.emplace((*lease)->id, *lease);
      kind.Granted((*lease)->id);
      Fill(kind, now, todo);
    } else {
      kind.Refused(now);
      if (!kind.Keeps()) todo.by_raylet = kind.TakeAll();
    }
  }
  Carry(std::move(todo));
}

Result<LeasedTasks::LeasePtr> LeasedTasks::Open(TaskKind& kind, const wire::LeaseReplyT& reply,
                                                std::vector<UniqueFd>& fds) {
  auto taken = TakeChannelFds(fds);
  if (!taken) return Fail(taken.error());
  auto memory = ChannelMemory::AttachLease(taken->channel, std::move(taken->bell), ChannelMemory::End::kCaller);
  if (!memory) return Fail(memory.error());
  auto lease = std::make_shared<Lease>(*this, kind, reply.lease);
  lease->channel =
      std::make_shared<CallChannel>(parts_, lease, CallChannel::Other{reply.process, 0, {}}, *std::move(memory));
  pump_.Add(lease->channel);
  return lease;
}

// ---- answers and ends

void LeasedTasks::AfterReplies(Lease& lease) {
  Todo todo;
  {
    const MutexLock lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    const uint64_t taken = lease.channel->taken();
    lease.kind.Ended(lease.id, taken - std::exchange(lease.taken, taken), now);
    if (lease.channel->IsShut()) End(lease, now, todo);
    if (lease.over && lease.channel->pending() == 0) Forget(lease.shared_from_this(), todo);
    Fill(lease.kind, now, todo);
  }
  Carry(std::move(todo));
}

// Takes back what the worker has not begun.
void LeasedTasks::End(Lease& lease, TimePoint now, Todo& todo) {
  if (std::exchange(lease.over, true)) return;
  std::vector<TaskSubmissionPtr> back;
  for (PendingCall& call : lease.channel->TakeBack(lease.channel->Shut())) back.push_back(std::move(call.task));
  lease.kind.Over(lease.id, std::move(back), now);
  if (!lease.kind.Keeps()) todo.by_raylet = lease.kind.TakeAll();
}

void LeasedTasks::Forget(const LeasePtr& lease, Todo& todo) {
  leases_.erase(lease->id);
  pump_.Remove(lease->channel);
  todo.gone.push_back(lease);
}

void LeasedTasks::OnShut(uint64_t id) {
  Todo todo;
  {
    const MutexLock lock(mutex_);
    const auto found = leases_.find(id);
    if (found == leases_.end()) return;
    const LeasePtr lease = found->second;
    const TimePoint now = std::chrono::steady_clock::now();
    End(*lease, now, todo);
    if (lease->channel->pending() == 0) Forget(lease, todo);
    Fill(lease->kind, now, todo);
  }
  Carry(std::move(todo));
}

uint64_t LeasedTasks::Cancel(const ClusterObject& result, bool last) {
  Todo todo;
  uint64_t begun_by = 0;
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, each] : leases_) {
      const uint64_t call = each->channel->NumberOf(result);
      if (call == 0) continue;
      const LeasePtr lease = each;
      const TimePoint now = std::chrono::steady_clock::now();
      if (last || call > lease->channel->LastBegun()) End(*lease, now, todo);
      if (call <= lease->channel->LastBegun()) begun_by = id;
      if (lease->over && lease->channel->pending() == 0) Forget(lease, todo);
      Fill(lease->kind, now, todo);
      break;
    }
  }
  Carry(std::move(todo));
  return begun_by;
}

void LeasedTasks::OnLost(uint64_t id, const Failure& failure) {
  LeasePtr lease;
  {
    const MutexLock lock(mutex_);
    const auto found = leases_.find(id);
    if (found == leases_.end()) return;
    lease = found->second;
  }
  pump_.TakeLast(lease->channel, [&] { Lose(lease, failure); });
}

void LeasedTasks::Lose(const LeasePtr& lease, const Failure& failure) {
  Todo todo;
  {
    const MutexLock lock(mutex_);
    if (!leases_.contains(lease->id)) return;
    const TimePoint now = std::chrono::steady_clock::now();
    End(*lease, now, todo);
    for (PendingCall& call : lease->channel->TakeBack(0)) {  // it had begun these
      TaskSubmission& task = *call.task;
      if (task.result->ready()) {  // cancelled
        todo.cancelled.push_back(std::move(call.task));
        continue;
      }
      ++task.begun_before;
      if (task.retries_left == 0) {
        todo.failed.emplace_back(call.task, FailureOfTask(task, failure));
        continue;
      }
      if (task.retries_left > 0) --task.retries_left;
      todo.by_raylet.push_front(std::move(call.task));
    }
    Forget(lease, todo);
    Fill(lease->kind, now, todo);
  }
  Carry(std::move(todo));
}

void LeasedTasks::Carry(Todo todo) {
  for (auto& [task, failure] : todo.failed) {
    task->place = {};
    task->result->FulfilFailed(std::move(failure));
  }
  for (TaskSubmissionPtr& task : todo.by_raylet) send_by_raylet_(std::exchange(task, nullptr));
  for (TaskKind* const kind : todo.ask) Ask(*kind);
  if (!todo.failed.empty()) pump_.WakeWaiters();
}

// ---- the feeder

void LeasedTasks::FeedSoon() {
  if (feeding_.load(std::memory_order_relaxed) || feeding_.exchange(true)) return;
  const MutexLock lock(feeder_mutex_);
  if (feeder_stops_) return;
  if (!feeder_.joinable()) {
    const SignalsBlocked blocked;
    feeder_ = std::thread([this] { Feed(); });
  }
  feeder_changed_.NotifyAll();
}

void LeasedTasks::Feed() {
  for (int in_vain = 0;;) {
    {
      const MutexLock lock(feeder_mutex_);
      if (!feeder_stops_) feeder_changed_.Wait(feeder_mutex_, Deadline::After(feeding_.load() ? kFeed : kFeederSleep));
      if (feeder_stops_) return;
    }
    if (!feeding_.load()) continue;
    pump_.Drain();
    in_vain = FeedOnce() ? 0 : in_vain + 1;
    if (in_vain < kFeedsInVain) continue;
    in_vain = 0;
    feeding_.store(false);
    if (FeedOnce()) feeding_.store(true);  // a task came meanwhile, and found the feeder awake
  }
}

bool LeasedTasks::FeedOnce() {
  Todo todo;
  bool waits = false;
  {
    const MutexLock lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    for (const auto& [key, kind] : kinds_) {
      if (!kind->Waits()) continue;
      waits = true;
      kind->TickTo(now);
      Fill(*kind, now, todo);
    }
  }
  Carry(std::move(todo));
  return waits;
}

void LeasedTasks::Stop(const FailurePtr& failure) {
  std::thread feeder;
  {
    const MutexLock lock(feeder_mutex_);
    feeder_stops_ = true;
    feeder = std::move(feeder_);
    feeder_changed_.NotifyAll();
  }
  if (feeder.joinable()) feeder.join();
  std::vector<TaskSubmissionPtr> tasks;
  std::unordered_map<uint64_t, LeasePtr> leases;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    leases.swap(leases_);
    for (const auto& [key, kind] : kinds_) {
      auto waiting = kind->TakeAll();
      tasks.insert(tasks.end(), std::make_move_iterator(waiting.begin()), std::make_move_iterator(waiting.end()));
    }
  }
  for (const auto& [id, lease] : leases) lease->channel->FailPending(failure);
  for (const TaskSubmissionPtr& task : tasks) task->result->FulfilFailed(failure);
}

}  // namespace raylet::client
