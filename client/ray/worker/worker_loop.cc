#include "client/ray/worker/worker_loop.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include <ray/api/exceptions.h>

#include "base/log.h"
#include "base/strings.h"
#include "client/ray/api/current_runtime.h"
#include "client/ray/cluster/cluster_runtime.h"
#include "fbs/id_lists.h"

namespace raylet::client {
namespace {

// How long an actor whose lease does not hold sleeps between two looks. Nobody rings when it is renewed.
constexpr std::chrono::milliseconds kLeaseLook{10};
// The same of a worker that stays until its results have come.
constexpr std::chrono::milliseconds kStaysLook{100};

// The waiting process hears of this one's end instead, with these words.
[[noreturn]] void EndUntold(const wire::TaskSpecT& spec, const Error& why) {
  RAYLET_LOG(kError, "the end of ", spec.name, " could not be told: ", why.message);
  std::fflush(nullptr);
  ::_exit(1);
}

// The actor has ended itself while other calls run. They use the object, and nobody waits for them.
[[noreturn]] void EndBesideCalls() {
  std::fflush(nullptr);
  ::_exit(0);
}

std::unique_ptr<CallThreads> ThreadsFor(ClusterParts& parts, size_t threads_max) {
  CallThreads::Options options;
  options.threads_max = threads_max;
  options.make_runner = [&parts] { return std::make_unique<CallExecutor>(parts.objects, parts.calls); };
  options.when_done = [&parts] { Ring(parts.link.doorbell()); };
  return std::make_unique<CallThreads>(std::move(options));
}

}  // namespace

void WorkerLoop::Add(Event event) {
  const MutexLock lock(mutex_);
  events_.push_back(std::move(event));
  event_count_.store(events_.size(), std::memory_order_release);
}

// Takes one event at a time, so that the raylet can recall the others.
bool WorkerLoop::TakeEvent(CurrentTask& current, Event& event) {
  if (event_count_.load(std::memory_order_acquire) == 0) return false;
  const MutexLock lock(mutex_);
  if (events_.empty()) return false;
  event = std::move(events_.front());
  events_.pop_front();
  event_count_.store(events_.size(), std::memory_order_release);
  if (const auto* const spec = std::get_if<std::unique_ptr<wire::TaskSpecT>>(&event);
      spec != nullptr && (*spec)->actor == nullptr) {
    const auto id = FromWire<TaskId>(*(*spec)->id);
    current.Begin(id);
    if (cancelled_.erase(id) > 0) current.Cancel(id);
  }
  return true;
}

void WorkerLoop::Cancel(const wire::CancelNoticeT& notice) {
  const auto id = FromWire<TaskId>(*notice.task);
  ClusterParts* const parts = parts_.load(std::memory_order_acquire);
  if (notice.actor != nullptr) {
    if (parts != nullptr) parts->calls.Cancel(id);
    return;
  }
  {
    const MutexLock lock(mutex_);
    const bool waits = std::any_of(events_.begin(), events_.end(), [&](const Event& event) {
      const auto* const spec = std::get_if<std::unique_ptr<wire::TaskSpecT>>(&event);
      return spec != nullptr && FromWire<TaskId>(*(*spec)->id) == id;
    });
    if (waits) {
      cancelled_.insert(id);
      return;
    }
  }
  if (parts != nullptr) parts->submitter.CancelCurrent(id, notice.force);
}

// The main thread reports a task's end before it takes the next task. So the raylet hears of ends and of recalled tasks
// in the order in which they happened.
void WorkerLoop::GiveBack(RayletLink& link, const wire::TasksNoticeT& wanted) {
  wire::TasksNoticeT given;
  const auto is = [](const Event& event, const wire::Id20& id) {
    const auto* const spec = std::get_if<std::unique_ptr<wire::TaskSpecT>>(&event);
    return spec != nullptr && FromWire<TaskId>(*(*spec)->id) == FromWire<TaskId>(id);
  };
  {
    const MutexLock lock(mutex_);
    for (const wire::Id20& id : wanted.tasks) {
      cancelled_.erase(FromWire<TaskId>(id));
      if (std::erase_if(events_, [&](const Event& event) { return is(event, id); }) > 0) given.tasks.push_back(id);
    }
    event_count_.store(events_.size(), std::memory_order_release);
  }
  link.Post(wire::RayletMessage::TasksRecalled, given);
}

void WorkerLoop::Deliver(RayletLink& link, const Frame& frame, std::vector<UniqueFd>& fds) {
  switch (static_cast<wire::RayletMessage>(frame.header.type)) {
    case wire::RayletMessage::RunTask:
      if (auto spec = Parse<wire::TaskSpecT>(frame.body))
        Add(std::make_unique<wire::TaskSpecT>(*std::move(spec)));
      else
        RAYLET_LOG(kError, "a task that cannot be read: ", spec.error().message);
      return;
    case wire::RayletMessage::ChannelOpened: {
      const auto notice = Parse<wire::ChannelNoticeT>(frame.body);
      auto taken = TakeChannelFds(fds);
      if (!notice || !taken) return;
      auto memory =
          ChannelMemory::Attach(taken->channel, std::move(taken->bell), notice->relayed, ChannelMemory::End::kActor);
      if (!memory) {
        RAYLET_LOG(kError, "a channel cannot be used: ", memory.error().message);
        return;
      }
      auto channel = std::make_unique<HostedChannel>();
      channel->number = notice->channel;
      channel->incarnation = notice->incarnation;
      channel->caller = notice->caller;
      channel->caller_store_client = notice->caller_store_client;
      channel->relayed = notice->relayed;
      channel->memory = *std::move(memory);
      return Add(std::move(channel));
    }
    case wire::RayletMessage::LeaseOpened: {
      const auto notice = Parse<wire::LeaseNoticeT>(frame.body);
      auto taken = TakeChannelFds(fds);
      if (!notice || !taken) return;
      auto memory = ChannelMemory::AttachLease(taken->channel, std::move(taken->bell), ChannelMemory::End::kActor);
      if (!memory) {
        RAYLET_LOG(kError, "a lease cannot be used: ", memory.error().message);
        link.Post(wire::RayletMessage::LeaseReturned, *notice);
        return;
      }
      auto lease = std::make_unique<WorkerLease>();
      lease->id = notice->lease;
      lease->caller = notice->caller;
      lease->caller_store_client = notice->caller_store_client;
      lease->depth = notice->depth;
      lease->memory = *std::move(memory);
      return Add(std::move(lease));
    }
    case wire::RayletMessage::UseDevices:
      if (auto notice = Parse<wire::DevicesNoticeT>(frame.body)) Add(Devices{std::move(notice->visible)});
      return;
    case wire::RayletMessage::ChannelClosed:
      if (const auto notice = Parse<wire::ChannelNoticeT>(frame.body)) Add(ChannelClosed{notice->channel});
      return;
    case wire::RayletMessage::RecallTasks:
      if (const auto wanted = Parse<wire::TasksNoticeT>(frame.body)) GiveBack(link, *wanted);
      return;
    case wire::RayletMessage::TaskCancelled:
      if (const auto notice = Parse<wire::CancelNoticeT>(frame.body)) Cancel(*notice);
      return;
    case wire::RayletMessage::Exit:
      if (const auto notice = Parse<wire::ExitNoticeT>(frame.body)) Add(Exit{notice->job_ended});
      return;
    default: return;
  }
}

struct WorkerLoop::Running {
  explicit Running(ClusterParts& of, ClusterRuntime& with)
      : parts(of),
        runtime(with),
        executor(of.objects, of.calls),
        host(of.ownership, executor),
        leased(executor, of.current) {
    parts.blocked.SetWhenBlocked([this] { leased.Shut(); });
  }
  ~Running() { parts.blocked.SetWhenBlocked({}); }
  ClusterParts& parts;
  ClusterRuntime& runtime;
  CallExecutor executor;
  ActorHost host;
  LeasedCalls leased;
};

void WorkerLoop::Run(ClusterParts& parts, ClusterRuntime& runtime) {
  parts_.store(&parts, std::memory_order_release);
  Running running(parts, runtime);
  RayletLink& link = parts.link;
  ActorHost& host = running.host;
  LeasedCalls& leased = running.leased;
  SpinPark park;
  bool exiting = false;  // the actor has said so: wait for the raylet's word
  bool leaving = false;  // this is the raylet's word: only the calls in the rings are left, and the raylet's patience
  const auto ready = [&] {
    parts.pump.Drain();  // replies of actors that this process calls
    return event_count_.load(std::memory_order_acquire) != 0 || leased.HasWork() || (!exiting && host.HasWork());
  };
  const auto alive = [&] { return !link.Gone(); };
  const auto may_serve = [&] {
    parts.pump.Drain();
    return event_count_.load(std::memory_order_acquire) != 0 || host.MayServe();
  };
  // What this process has submitted ends with it. So it stays while others refer to such results, and says so.
  bool stays = false;
  const auto may_leave = [&] {
    const bool owes = parts.ownership.OwesResults(link.process());
    if (owes != std::exchange(stays, owes)) {
      wire::StaysNoticeT notice;
      notice.stays = owes;
      link.Post(wire::RayletMessage::Stays, notice);  // or the raylet has gone
    }
    return !owes;
  };
  Event event;
  while (!link.Gone()) {
    park.WaitUntil(link.doorbell(), stays ? Deadline::After(kStaysLook) : Deadline::Never(), ready, alive, {},
                   std::chrono::seconds(1));
    // There is work, and the actor's home has not been heard for long.
    if (!host.MayServe()) park.WaitUntil(link.doorbell(), Deadline::After(kLeaseLook), may_serve, alive);
    while (TakeEvent(parts.current, event)) {
      if (const auto* const exit = std::get_if<Exit>(&event)) {
        if (exit->job_ended && host.RunsCalls()) EndBesideCalls();
        if (exit->job_ended) return;
        leaving = exiting || host.has_instance();
        if (!leaving && may_leave()) return;
      }
      if (auto* spec = std::get_if<std::unique_ptr<wire::TaskSpecT>>(&event)) RunTask(running, **spec);
      if (auto* channel = std::get_if<std::unique_ptr<HostedChannel>>(&event)) host.Open(std::move(*channel));
      if (auto* closed = std::get_if<ChannelClosed>(&event)) host.Close(closed->number);
      if (const auto* devices = std::get_if<Devices>(&event))
        ::setenv("CUDA_VISIBLE_DEVICES", devices->visible.c_str(), /*overwrite=*/1);
      if (auto* lease = std::get_if<std::unique_ptr<WorkerLease>>(&event)) BeginLease(running, std::move(*lease));
      event = Exit();  // destroys the event's contents now
    }
    if (leased.open()) ServeLease(running);
    if (exiting && stays) host.TakeReleases();
    if (leaving && exiting && may_leave()) {
      if (host.RunsCalls()) EndBesideCalls();
      return;
    }
    if (stays && !leaving) static_cast<void>(may_leave());
    if (exiting || !host.has_instance()) continue;
    const auto served = host.ServeSome();
    while (const uint64_t released = host.TakeReleased()) {
      wire::ChannelNoticeT notice;
      notice.channel = released;
      notice.actor = std::make_unique<wire::Id20>(ToWire(actor_));
      link.Post(wire::RayletMessage::ChannelReleased, notice);  // or the raylet has gone
    }
    if (served == ActorHost::Served::kActorExits) {
      exiting = true;
      wire::ActorRequestT request;
      request.actor = std::make_unique<wire::Id20>(ToWire(actor_));
      link.Post(wire::RayletMessage::ActorExited, request);
    }
    if (leaving && (exiting || host.Idle()) && may_leave()) return;
  }
}

void WorkerLoop::BeginLease(Running& running, std::unique_ptr<WorkerLease> lease) {
  running.parts.submitter.SetDepth(lease->depth + 1);
  running.leased.Open(std::move(lease));
  running.parts.blocked.Repeat();
  if (running.parts.blocked.Any()) running.leased.Shut();  // a thread of an earlier task waits
}

void WorkerLoop::ServeLease(Running& running) {
  const uint64_t over = running.leased.ServeSome();
  if (over == 0) return;
  wire::LeaseNoticeT notice;
  notice.lease = over;
  running.parts.link.Post(wire::RayletMessage::LeaseReturned, notice);  // or the raylet has gone
}

void WorkerLoop::RunTask(Running& running, const wire::TaskSpecT& spec) {
  std::vector<ValueView> arguments;
  std::deque<std::string> failures;  // encoded
  for (const auto& value : spec.arguments) {
    ValueView view;
    if (value->kind == wire::ValueKind::Stored && value->id != nullptr) {
      view.kind = ValueView::Kind::kStored;
      view.id = FromWire<ObjectId>(*value->id);
    } else if (value->kind == wire::ValueKind::Failed && value->failure != nullptr) {
      view.kind = ValueView::Kind::kFailed;
      failures.push_back(EncodeFailure(*value->failure));
      view.bytes = failures.back();
    } else {
      view.bytes = {reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size()};
    }
    arguments.push_back(view);
  }
  running.parts.blocked.Repeat();
  running.parts.submitter.SetDepth(spec.depth + 1);
  CallRequest request;
  request.function = spec.function;
  request.arguments = arguments;
  request.result_id = FromWire<ObjectId>(*spec.id);
  request.caller = spec.owner;
  request.caller_store_client = spec.owner_store_client;
  request.lend = spec.lend;
  CallOutcome outcome;
  if (spec.actor != nullptr) {
    const auto lease = running.parts.link.Lease(spec.actor->lease);
    if (!lease) EndUntold(spec, lease.error());
    // An actor that may start again needs its arguments again: its creator keeps them while it
    // lives.
    if (spec.actor->max_restarts != 0) request.lend = 0;
    if (spec.actor->restarts > 0) running.runtime.MarkActorRestarted();
    ray::internal::ActorInstance instance;
    outcome = running.executor.CreateActor(request, instance);
    if (instance.object != nullptr) {
      actor_ = FromWire<ActorId>(*spec.actor->id);
      running.host.SetInstance(instance, spec.actor->restarts + 1, *lease);
      if (spec.actor->max_concurrency > 1)
        running.host.SetThreads(ThreadsFor(running.parts, static_cast<size_t>(spec.actor->max_concurrency)));
    }
  } else if (running.parts.current.IsCancelled()) {
    outcome.kind = ValueView::Kind::kFailed;
    outcome.failure = MakeFailure(wire::FailureKind::TaskCancelled, "the task was cancelled before it began");
  } else {
    request.exception_retries = spec.exception_retries;
    request.current = &running.parts.current;
    outcome = running.executor.Call(request, nullptr);
  }
  running.parts.current.End();
  if (outcome.exit_actor) {
    outcome.failure = MakeFailure(wire::FailureKind::Other, kExitOutsideActor);
    outcome.kind = ValueView::Kind::kFailed;
  }
  wire::TaskResultT result;
  result.id = std::make_unique<wire::Id20>(*spec.id);
  result.process = running.parts.link.process();
  result.lend = outcome.lend;
  result.references = ToWire(outcome.references);
  result.arguments_retained = outcome.arguments_retained;
  result.retained = ToWire(outcome.retained);
  result.result = std::make_unique<wire::ValueT>();
  switch (outcome.kind) {
    case ValueView::Kind::kInline: result.result->bytes.assign(outcome.bytes.begin(), outcome.bytes.end()); break;
    case ValueView::Kind::kStored:
      result.result->kind = wire::ValueKind::Stored;
      result.result->id = std::make_unique<wire::Id20>(*spec.id);
      break;
    case ValueView::Kind::kFailed:
      result.result->kind = wire::ValueKind::Failed;
      result.result->failure = std::make_unique<Failure>(*outcome.failure);
      break;
  }
  const auto sent = running.parts.link.PostEncoded(wire::RayletMessage::TaskDone, Encode(result));
  if (!sent) EndUntold(spec, sent.error());
}

void RunWorker(const LoadCode& load_code) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* token = std::getenv("RAYLET_WORKER_TOKEN");
  const char* socket = std::getenv("RAYLET_SOCKET");
  int status = 1;
  try {
    if (token == nullptr || socket == nullptr)
      throw ray::internal::RayException(
          "a worker needs RAYLET_WORKER_TOKEN and RAYLET_SOCKET: only a raylet starts one");
    auto* const loop = new WorkerLoop();  // the io thread uses it until the process ends
    ClusterParts::Options options;
    options.raylet.socket = socket;
    options.raylet.kind = wire::ProcessKind::Worker;
    options.raylet.startup_token = std::strtoull(token, nullptr, 10);
    options.on_registered = [&load_code](const wire::RegisterReplyT& job) {
      load_code(job.code_search_path);
      ray::internal::SetDetachedByDefault(job.detached_actors);
    };
    options.on_work = [loop](RayletLink& link, const Frame& frame, std::vector<UniqueFd>& fds) {
      loop->Deliver(link, frame, fds);
    };
    static std::atomic<bool> leaving{false};  // set by the main thread, read by the io thread that it ends
    options.on_raylet_gone = [] {
      if (leaving.load(std::memory_order_acquire)) return;
      // If the raylet lives, it shows this line as the worker's last output.
      RAYLET_LOG(kError, "the connection to the raylet has ended: what runs here could not be told");
      std::fflush(nullptr);
      ::_exit(0);
    };
    // User code that starts programs of its own must not make workers of them.
    ::unsetenv("RAYLET_WORKER_TOKEN");
    ClusterParts& parts = ClusterParts::Connect(std::move(options));
    auto* const runtime = new ClusterRuntime(parts, nullptr);  // and so do the program's threads
    ray::internal::SetCurrentRuntime(runtime);
    loop->Run(parts, *runtime);
    leaving.store(true, std::memory_order_release);
    parts.Stop();
    std::exit(0);  // with the program's own handlers and static objects
  } catch (const std::exception& e) {
    std::fprintf(stderr, "worker %d: %s\n", ::getpid(), e.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

}  // namespace raylet::client
