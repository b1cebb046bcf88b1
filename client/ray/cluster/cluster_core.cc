#include "client/ray/cluster/cluster_core.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <ray/api/exceptions.h>

#include "base/log.h"
#include "base/process_start.h"
#include "base/strings.h"
#include "client/ray/cluster/actor_link.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/store_array.h"

extern char** environ;

namespace raylet::client {
namespace {

constexpr Duration kConnectPatience = std::chrono::seconds(10);
// While parked, waits look up this often though nobody rang. A safeguard only: replies, the raylet's words, its end and
// Stop all ring.
constexpr Duration kParkSlice = std::chrono::seconds(1);
constexpr size_t kObjectsPerWant = 10'000;  // in one message
constexpr Duration kWriteAgainPause = std::chrono::milliseconds(100);

thread_local int waits_of_this_thread = 0;

std::vector<std::string> OwnArguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\0', at), all.size());
    arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

std::string OwnExecutable() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : std::string();
}

std::string WorkingFolder() {
  char path[4096];
  return ::getcwd(path, sizeof path) != nullptr ? std::string(path) : std::string("/");
}

}  // namespace

ClusterCore& ClusterCore::Connect(Options options) {
  // Never destroyed: handles that outlive Shutdown ask it whether it is still usable.
  static std::mutex cores_mutex;
  static auto* const cores = new std::vector<std::unique_ptr<ClusterCore>>();
  std::unique_ptr<ClusterCore> made(new ClusterCore());
  ClusterCore& core = *made;
  {
    const std::lock_guard lock(cores_mutex);
    cores->push_back(std::move(made));
  }

  wire::RegisterRequestT request;
  request.kind = options.kind;
  request.pid = ::getpid();
  request.startup_token = options.startup_token;
  request.executable = OwnExecutable();
  request.arguments = OwnArguments();
  for (char** entry = environ; *entry != nullptr; ++entry) request.environment.emplace_back(*entry);
  request.working_directory = WorkingFolder();
  request.actor_namespace = options.actor_namespace;
  const Deadline deadline = Deadline::After(kConnectPatience);
  auto raylet = RayletClient::Connect(options.raylet_socket, std::move(request), deadline);
  if (!raylet) Throw(raylet.error());
  core.raylet_ = *std::move(raylet);
  const wire::RegisterReplyT& registration = core.raylet_->registration();
  const char* kind = options.kind == wire::ProcessKind::Worker ? "worker" : "driver";
  auto store =
      StoreClient::Connect(registration.store_socket, StrCat(kind, " ", ::getpid()), deadline, /*retry=*/false);
  if (!store) Throw(store.error());
  core.store_ = *std::move(store);
  core.actor_namespace_ =
      options.actor_namespace.empty() ? StrCat("job-", registration.job) : std::move(options.actor_namespace);
  core.options_ = std::move(options);
  core.raylet_->Start(core);
  wire::ReadyNoticeT ready;
  ready.store_client = core.store_->client_number();
  if (const auto sent = core.raylet_->Send(wire::RayletMessage::Ready, ready); !sent)
    throw ray::internal::RayException(sent.error().message);
  return core;
}

void ClusterCore::CheckUsable() const {
  if (fork_guard_.InChild())
    throw ray::internal::RayException(
        "this process was forked from the one that called ray::Init, and has no connection of its own: fork before "
        "ray::Init, or start a program");
  if (stopped_.load(std::memory_order_acquire))
    throw ray::internal::RayException("Ray has been shut down in this process: this handle refers to nothing any more");
  if (raylet_->Gone()) {
    ray::internal::FailureDetails details;
    details.may_have_run = true;
    const Error why = raylet_->WhyGone();
    details.hint = why.code == ErrorCode::kDisconnected
                       ? "whatever this program had under way ended with it: see in its log why it ended, start it "
                         "again, and call ray::Shutdown and ray::Init anew"
                       : "whatever this program had under way has ended: call ray::Shutdown and ray::Init anew";
    throw ray::internal::RayException(why.message, details);
  }
}

void ClusterCore::Stop() {
  if (stopped_.exchange(true, std::memory_order_acq_rel)) return;
  Ring(raylet_->doorbell());
  raylet_->Stop();
  std::thread progress;
  {
    const std::lock_guard lock(progress_mutex_);
    progress = std::move(progress_thread_);
    progress_changed_.notify_all();
  }
  if (progress.joinable()) progress.join();
  std::vector<std::shared_ptr<CallChannel>> channels;
  std::unordered_map<TaskId, PendingCall> tasks;
  {
    const std::lock_guard lock(mutex_);
    channels.swap(channels_);
    tasks.swap(tasks_);
  }
  draining_channels_.clear();
  const FailurePtr stopped = MakeFailure(wire::FailureKind::Cancelled, "Ray was shut down before this call ended");
  for (const auto& channel : channels) channel->FailPending(stopped);
  for (auto& [id, task] : tasks)
    if (task.result != nullptr) task.result->FulfilFailed(stopped);
  store_.reset();  // views that are still around keep the mapping
}

// ---- waiting
// ---------------------------------------------------------------------------------------------------------

bool ClusterCore::WaitUntil(Deadline deadline, const std::function<bool()>& ready) {
  Drain();
  if (ready()) return true;
  CheckUsable();
  thread_local SpinPark park;
  const auto step = [this, &ready] {
    Drain();
    return ready();
  };
  const auto alive = [this] { return !stopped_.load(std::memory_order_acquire) && !raylet_->Gone(); };
  bool blocked = false;
  std::function<void()> before_park;
  if (IsWorker()) {
    before_park = [this, &blocked] {
      blocked = true;
      SetBlocked(true);
    };
  }
  // seq_cst: whoever makes something ready and then reads waiters_ sees us, or we see what it made ready.
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  ++waits_of_this_thread;
  const bool done = park.WaitUntil(raylet_->doorbell(), deadline, step, alive, before_park, kParkSlice);
  --waits_of_this_thread;
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
  if (blocked) SetBlocked(false);
  if (!done) CheckUsable();
  return done;
}

void ClusterCore::WakeWaiters() {
  const auto own = waits_of_this_thread > 0 ? 1u : 0u;
  if (waiters_.fetch_add(0, std::memory_order_seq_cst) > own) Ring(raylet_->doorbell());
}

void ClusterCore::Drain() {
  if (channels_version_.load(std::memory_order_acquire) == 0) return;
  if (draining_.load(std::memory_order_relaxed) || draining_.exchange(true, std::memory_order_seq_cst)) {
    // Announced before the second look: the drainer sees it after its unlock and rings, in case we park meanwhile.
    drain_missed_.store(true, std::memory_order_seq_cst);
    if (draining_.exchange(true, std::memory_order_seq_cst)) return;
  }
  drain_missed_.store(false, std::memory_order_seq_cst);
  DrainLocked();
  draining_.store(false, std::memory_order_seq_cst);
  if (drain_missed_.load(std::memory_order_seq_cst)) {
    drain_missed_.store(false, std::memory_order_relaxed);
    Ring(raylet_->doorbell());
  }
}

void ClusterCore::DrainLocked() {
  if (const uint64_t version = channels_version_.load(std::memory_order_acquire); version != draining_version_) {
    std::vector<std::shared_ptr<CallChannel>> old;
    const std::lock_guard lock(mutex_);
    old.swap(draining_channels_);
    draining_channels_ = channels_;
    draining_version_ = version;
  }
  bool any = false;
  for (const auto& channel : draining_channels_) {
    if (!channel->HasReplies()) continue;
    any = true;
    const auto drained = channel->Drain();
    const ActorLinkPtr actor = channel->actor().lock();
    if (!drained) {
      const bool ours = drained.error().code == ErrorCode::kUnavailable;
      auto failure = std::make_shared<Failure>(*MakeFailure(
          wire::FailureKind::ActorDied,
          StrCat(ours ? "the actor takes no more calls of this process, which wrote nonsense into its channel: "
                      : "the actor's process wrote nonsense into its channel: ",
                 drained.error().message),
          "something overwrote shared memory: run the program under a sanitizer"));
      failure->may_have_run = true;
      RemoveChannel(channel);
      channel->FailPending(failure);
      if (actor != nullptr) actor->ChannelBroken(failure);
      continue;
    }
    if (actor != nullptr) actor->AfterReplies();
  }
  if (any) WakeWaiters();
}

void ClusterCore::CloseChannel(const std::shared_ptr<CallChannel>& channel, const FailurePtr& failure) {
  while (draining_.exchange(true, std::memory_order_seq_cst)) ::sched_yield();
  static_cast<void>(channel->Drain());  // what it answered before it died counts
  channel->FailPending(failure);
  draining_.store(false, std::memory_order_seq_cst);
  RemoveChannel(channel);
  Ring(raylet_->doorbell());
}

void ClusterCore::AddChannel(std::shared_ptr<CallChannel> channel) {
  const std::lock_guard lock(mutex_);
  channels_.push_back(std::move(channel));
  channels_version_.fetch_add(1, std::memory_order_release);
}

void ClusterCore::RemoveChannel(const std::shared_ptr<CallChannel>& channel) {
  const std::lock_guard lock(mutex_);
  std::erase(channels_, channel);
  channels_version_.fetch_add(1, std::memory_order_release);
}

void ClusterCore::AddProgress() {
  if (progress_wanted_.fetch_add(1, std::memory_order_seq_cst) > 0) return;
  const std::lock_guard lock(progress_mutex_);
  if (stopped_.load(std::memory_order_acquire)) return;
  const SignalsBlocked blocked;
  if (!progress_thread_.joinable()) progress_thread_ = std::thread([this] { RunProgress(); });
  progress_changed_.notify_all();
}

void ClusterCore::RemoveProgress() { progress_wanted_.fetch_sub(1, std::memory_order_seq_cst); }

void ClusterCore::RunProgress() {
  SpinPark park(Duration::zero());
  size_t unwritten = 0;
  const auto idle = [this, &unwritten] {
    Drain();
    if (unwritten_count_.load(std::memory_order_acquire) > unwritten) return true;
    return progress_wanted_.load(std::memory_order_seq_cst) <= 0 || stopped_.load(std::memory_order_acquire);
  };
  const auto alive = [this] { return !raylet_->Gone(); };
  ++waits_of_this_thread;
  while (!stopped_.load(std::memory_order_acquire) && !raylet_->Gone()) {
    {
      std::unique_lock lock(progress_mutex_);
      progress_changed_.wait_for(lock, std::chrono::seconds(1), [this] {
        return progress_wanted_.load(std::memory_order_seq_cst) > 0 || stopped_.load(std::memory_order_acquire);
      });
    }
    if (progress_wanted_.load(std::memory_order_seq_cst) <= 0) continue;
    if (unwritten_count_.load(std::memory_order_acquire) > 0) WriteUnwritten();
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    unwritten = unwritten_count_.load(std::memory_order_acquire);
    const Deadline deadline = unwritten > 0 ? Deadline::After(kWriteAgainPause) : Deadline::Never();
    park.WaitUntil(raylet_->doorbell(), deadline, idle, alive, {}, kParkSlice);
    waiters_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

void ClusterCore::WriteLater(std::weak_ptr<ClusterObject> object) {
  {
    const std::lock_guard lock(progress_mutex_);
    unwritten_.push_back(std::move(object));
    unwritten_count_.store(unwritten_.size(), std::memory_order_release);
  }
  Ring(raylet_->doorbell());
}

void ClusterCore::WriteUnwritten() {
  std::vector<std::weak_ptr<ClusterObject>> objects;
  {
    const std::lock_guard lock(progress_mutex_);
    objects.swap(unwritten_);
  }
  bool full = false;
  const auto written = std::remove_if(objects.begin(), objects.end(), [&](const auto& each) {
    const ClusterObjectPtr object = full ? nullptr : each.lock();
    full = full || (object != nullptr && !object->WriteIfThereIsRoom());
    if (full) return false;
    RemoveProgress();  // it is there, or nobody can ask for it any more
    return true;
  });
  objects.erase(written, objects.end());
  const std::lock_guard lock(progress_mutex_);
  unwritten_.insert(unwritten_.end(), objects.begin(), objects.end());
  unwritten_count_.store(unwritten_.size(), std::memory_order_release);
}

void ClusterCore::SetBlocked(bool blocked) {
  const std::lock_guard lock(blocked_mutex_);
  blocked_threads_ += blocked ? 1 : -1;
  if (blocked_threads_ == (blocked ? 1 : 0)) TellBlocked(blocked);
}

void ClusterCore::RepeatBlocked() {
  const std::lock_guard lock(blocked_mutex_);
  if (blocked_threads_ > 0) TellBlocked(true);
}

void ClusterCore::TellBlocked(bool blocked) {
  wire::BlockedNoticeT notice;
  notice.blocked = blocked;
  static_cast<void>(raylet_->Send(wire::RayletMessage::Blocked, notice));
}

// ---- the store
// -------------------------------------------------------------------------------------------------------

Result<void> ClusterCore::StoreValue(const ObjectId& id, std::string_view bytes, char mark, uint32_t owner_client,
                                     int64_t room_patience_ms) {
  CreateOptions options;
  options.owned = true;
  options.owner = owner_client;
  const std::byte metadata[] = {static_cast<std::byte>(mark)};
  return CreateWithPatience(options, room_patience_ms, [&] {
    return store_->CreateAndSeal(id, std::as_bytes(std::span(bytes.data(), bytes.size())), metadata, options);
  });
}

void ClusterCore::DeleteFromStore(const ObjectId& id) {
  static_cast<void>(store_->DeleteAsync(std::span(&id, 1)));  // a store that is gone holds nothing
  if (!raylet_->registration().clustered) return;
  wire::FreeNoticeT notice;
  notice.objects.push_back(ToWire(id));
  static_cast<void>(
      raylet_->Send(wire::RayletMessage::FreeObjects, notice));  // a raylet that is gone frees all of ours
}

Result<ObjectView> ClusterCore::FetchStored(const ObjectId& id, Deadline deadline, bool may_come) {
  auto here = store_->TryGet(id);
  if (!here) return Fail(here.error());
  if (here->has_value()) return **std::move(here);
  const bool clustered = raylet_->registration().clustered;
  if (!may_come && !clustered)
    return Fail(ErrorCode::kNotFound, StrCat("object ", id.hex(), " is lost: the store does not have it any more"));
  const ProcessId owner = OwnerOf(id);
  const auto alive = [&] {
    return Usable() && !raylet_->Gone() && !ProcessIsDead(owner) && (!clustered || WhyLost(id) == nullptr);
  };
  const bool blocked = IsWorker();
  if (blocked) SetBlocked(true);
  Want(std::span(&id, 1), /*in_wait=*/false);
  auto view = store_->Get(id, deadline, alive);
  const FailurePtr lost = WhyLost(id);
  WantNoLonger(std::span(&id, 1));
  if (blocked) SetBlocked(false);
  if (view || view.error().code != ErrorCode::kCancelled) return view;
  CheckUsable();
  if (lost != nullptr && !ProcessIsDead(owner)) return Fail(ErrorCode::kNotFound, lost->message);
  return Fail(ErrorCode::kNotFound, StrCat("object ", id.hex(), " is lost: ", WhyDead(owner)));
}

void ClusterCore::Want(std::span<const ObjectId> ids, bool in_wait) {
  if (!raylet_->registration().clustered || ids.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    for (const ObjectId& id : ids) wanted_[id].count++;
  }
  SayWanted(ids, in_wait, /*no_longer=*/false);
}

void ClusterCore::SayWanted(std::span<const ObjectId> ids, bool in_wait, bool no_longer) {
  for (; !ids.empty(); ids = ids.subspan(std::min(ids.size(), kObjectsPerWant))) {
    wire::WantNoticeT notice;
    notice.wait = in_wait;
    notice.no_longer = no_longer;
    for (const ObjectId& id : ids.first(std::min(ids.size(), kObjectsPerWant))) notice.objects.push_back(ToWire(id));
    static_cast<void>(raylet_->Send(wire::RayletMessage::WantObjects, notice));  // whoever waits sees that it is gone
  }
}

void ClusterCore::WantNoLonger(std::span<const ObjectId> ids) {
  if (!raylet_->registration().clustered) return;
  std::vector<ObjectId> unwanted;
  {
    const std::lock_guard lock(mutex_);
    for (const ObjectId& id : ids) {
      const auto found = wanted_.find(id);
      if (found == wanted_.end() || --found->second.count > 0) continue;
      wanted_.erase(found);
      unwanted.push_back(id);
    }
  }
  SayWanted(unwanted, /*in_wait=*/false, /*no_longer=*/true);
}

FailurePtr ClusterCore::WhyLost(const ObjectId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = wanted_.find(id);
  return found == wanted_.end() ? nullptr : found->second.lost;
}

std::shared_ptr<StoreArray> ClusterCore::FindArray(const ObjectId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = arrays_.find(id);
  return found == arrays_.end() ? nullptr : found->second.lock();
}

void ClusterCore::RegisterArray(const std::shared_ptr<StoreArray>& array) {
  const std::lock_guard lock(mutex_);
  arrays_[array->id()] = array;
}

void ClusterCore::ForgetArray(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  if (const auto found = arrays_.find(id); found != arrays_.end() && found->second.expired()) arrays_.erase(found);
}

// ---- others
// ----------------------------------------------------------------------------------------------------------

void ClusterCore::ReleaseLendThroughRaylet(ProcessId lender, LendId lend) {
  if (lender == process()) {
    const Holds ended = lends_.Take(lend);
    return;
  }
  wire::LendNoticeT notice;
  notice.process = lender;
  notice.lend = lend;
  static_cast<void>(raylet_->Send(wire::RayletMessage::ReleaseLend, notice));
}

bool ClusterCore::ProcessIsDead(ProcessId process) const {
  const std::lock_guard lock(mutex_);
  return dead_.contains(process) || dead_.contains(AllProcessesOf(MachineOf(process)));
}

ActorLinkPtr ClusterCore::FindActor(const ActorId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = actors_.find(id);
  return found == actors_.end() ? nullptr : found->second.lock();
}

void ClusterCore::RegisterActor(const ActorLinkPtr& actor) {
  const std::lock_guard lock(mutex_);
  actors_[actor->id()] = actor;
}

void ClusterCore::ForgetActor(const ActorId& id) {
  const std::lock_guard lock(mutex_);
  actors_.erase(id);
}

void ClusterCore::AddTask(const TaskId& id, PendingCall task) {
  const std::lock_guard lock(mutex_);
  tasks_.emplace(id, std::move(task));
}

bool ClusterCore::TakeTask(const TaskId& id, PendingCall& task) {
  const std::lock_guard lock(mutex_);
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return false;
  task = std::move(found->second);
  tasks_.erase(found);
  return true;
}

// ---- messages
// --------------------------------------------------------------------------------------------------------

void ClusterCore::OnMessage(const Frame& frame, std::vector<UniqueFd>& fds) {
  switch (static_cast<wire::RayletMessage>(frame.header.type)) {
    case wire::RayletMessage::TaskResult: return OnTaskResult(frame);
    case wire::RayletMessage::ActorChanged: return OnActorChanged(frame);
    case wire::RayletMessage::ProcessDied: return OnProcessDied(frame);
    case wire::RayletMessage::ObjectLost: return OnObjectLost(frame);
    case wire::RayletMessage::ReleaseLend:
      if (const auto notice = Parse<wire::LendNoticeT>(frame.body)) {
        const Holds ended = lends_.Take(notice->lend, notice->process);
      }
      return;
    case wire::RayletMessage::OpenChannelReply: fds.clear(); return;  // nobody waits for it any more
    default:
      if (options_.on_work) options_.on_work(frame, fds);
  }
}

void ClusterCore::OnRayletGone() {
  if (options_.on_raylet_gone) options_.on_raylet_gone();
}

void ClusterCore::OnTaskResult(const Frame& frame) {
  auto result = Parse<wire::TaskResultT>(frame.body);
  if (!result || result->result == nullptr) return;
  PendingCall task;
  if (!TakeTask(FromWire<TaskId>(*result->id), task)) return;
  if (task.lend != 0) {
    lends_.SetBorrower(task.lend, result->process);
    if (!result->arguments_retained) const Holds ended = lends_.Take(task.lend);
  }
  ray::internal::Hold lend;
  if (result->lend != 0)
    lend = std::make_shared<RemoteLend>(*this, result->process, result->lend, std::weak_ptr<CallChannel>());
  if (task.result == nullptr) return;  // an actor has been created
  wire::ValueT& value = *result->result;
  switch (value.kind) {
    case wire::ValueKind::Inline:
      task.result->FulfilInline(std::string(value.bytes.begin(), value.bytes.end()), std::move(lend));
      return;
    case wire::ValueKind::Stored: task.result->FulfilStored(std::move(lend)); return;
    case wire::ValueKind::Failed: break;
  }
  task.result->FulfilFailed(value.failure != nullptr
                                ? std::make_shared<const Failure>(*value.failure)
                                : MakeFailure(wire::FailureKind::Other, "the task failed, and nobody said why"));
}

void ClusterCore::OnActorChanged(const Frame& frame) {
  const auto notice = Parse<wire::ActorNoticeT>(frame.body);
  if (!notice) return;
  const ActorLinkPtr actor = FindActor(FromWire<ActorId>(*notice->actor));
  if (actor == nullptr) return;
  const Failure unknown = *MakeFailure(wire::FailureKind::ActorDied, "the actor died");
  const Failure& failure = notice->failure != nullptr ? *notice->failure : unknown;
  if (notice->state == wire::ActorState::Restarting) actor->Restarting(failure);
  if (notice->state == wire::ActorState::Dead) actor->Die(AsActorDied(failure, failure.may_have_run));
}

std::string ClusterCore::WhyDead(ProcessId process) const {
  const std::lock_guard lock(mutex_);
  const auto machine = dead_.find(AllProcessesOf(MachineOf(process)));
  return machine == dead_.end() ? "the process that owned it has died"
                                : StrCat("the process that owned it has gone with its machine: ", machine->second);
}

void ClusterCore::OnProcessDied(const Frame& frame) {
  const auto notice = Parse<wire::ProcessNoticeT>(frame.body);
  if (!notice) return;
  std::vector<ProcessId> ended = notice->also;
  ended.push_back(notice->process);
  {
    const std::lock_guard lock(mutex_);
    if (notice->reached_again) {
      dead_.erase(notice->process);
      return;
    }
    const bool machine = notice->process == AllProcessesOf(MachineOf(notice->process));
    for (const ProcessId process : ended)
      dead_.insert_or_assign(process, machine ? notice->failure->message : std::string());
  }
  for (const ProcessId process : ended) const Holds released = lends_.TakeAllOf(process);
}

void ClusterCore::OnObjectLost(const Frame& frame) {
  auto notice = Parse<wire::LostNoticeT>(frame.body);
  if (!notice) return;
  const std::lock_guard lock(mutex_);
  const auto found = wanted_.find(FromWire<ObjectId>(*notice->object));
  if (found != wanted_.end()) found->second.lost = std::make_shared<const Failure>(std::move(*notice->failure));
}

}  // namespace raylet::client
