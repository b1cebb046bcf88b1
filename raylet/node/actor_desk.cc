#include "raylet/node/actor_desk.h"

#include <algorithm>

#include "base/log.h"
#include "base/overloaded.h"
#include "base/strings.h"
#include "raylet/node/inbound.h"

namespace raylet {

ActorDesk::ActorDesk(const Services& services)
    : post_(services.post),
      door_(services.door),
      house_(services.house),
      jobs_(services.jobs),
      decisions_(services.decisions),
      leases_(services.leases),
      loop_(services.loop),
      clock_(services.clock),
      names_(services.post.view(), [this](const ActorId& actor) { return actors_.BearsName(actor); }),
      finder_(actors_, names_, services) {}

void ActorDesk::Wire(CreationQueue& queue, ActorCallEvents& calls, std::function<void()> job_may_end) {
  queue_ = &queue;
  calls_ = &calls;
  finder_.Wire(calls);
  job_may_end_ = std::move(job_may_end);
}

void ActorDesk::ShareNames(ControlLink& control) {
  names_.SetControl(control);
  control.SetOnLost([this](const Published::Lost& lost) {
    const auto actor = names_.OnLost(lost);
    if (!actor || decisions_.stopped()) return;
    RAYLET_LOG(kError, "actor ", actor->hex(), " has lost its name: ", lost.why.message);
    actors_.NameLost(*actor);
    decisions_.CarryOut();
  });
}

// ---- messages of processes

Result<void> ActorDesk::OnCreateActor(ProcessSession& session, const Frame& frame) {
  const auto& identity = *session.identity;
  const auto parsed = ParseTask(frame, {identity.process, identity.job, jobs_.Get(identity.job).actor_namespace}, true);
  if (!parsed) return Fail(parsed.error());
  const ActorSettings& actor = *parsed->task->actor;
  const bool takes_name = names_.shared() && !actor.name.empty();
  const Result<void> created = parsed->sound ? actors_.Create(parsed->task, takes_name) : parsed->sound;
  if (created && takes_name) {
    names_.Take(actor, [this, process = identity.process, request_id = frame.header.request_id,
                        id = actor.id](const Result<void>& taken) {
      if (decisions_.stopped()) return;
      if (ProcessSession* const creator = door_.SessionOf(process))
        creator->SendBytes(wire::RayletMessage::StatusReply, request_id, EncodeStatusReply(taken));
      NameTaken(id, taken);
    });
    return {};
  }
  session.SendBytes(wire::RayletMessage::StatusReply, frame.header.request_id, EncodeStatusReply(created));
  return {};
}

void ActorDesk::NameTaken(const ActorId& id, const Result<void>& taken) {
  if (!taken) {
    if (const ActorDirectory::Actor* const actor = actors_.Get(id)) {
      Failure failure = Refused(actor->creation->name, actor->creation->function, taken.error().message);
      failure.kind = wire::FailureKind::ActorDied;
      actors_.CreationLost(id, failure);
    }
  } else if (!actors_.NameTaken(id)) {
    names_.Release(id);
  }
  decisions_.CarryOut();
}

Result<void> ActorDesk::OnKillActor(ProcessSession&, const Frame& frame) {
  const auto request = ParseAboutActor<wire::KillActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  if (post_.IsHome(request->actor))
    actors_.Kill(request->actor, request->message.no_restart);
  else if (const ClusterView::Node* const home = post_.HomeOf(request->actor))
    post_.Tell(home->id, wire::ActorMessage::KillRemote, frame.body);
  return {};
}

Result<void> ActorDesk::OnReleaseActor(ProcessSession& session, const Frame& frame) {
  const auto request = ParseAboutActor<wire::ActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  actors_.Release(request->actor, session.identity->process);
  return {};
}

Result<void> ActorDesk::OnActorExited(ProcessSession& session, const Frame& frame) {
  const auto request = ParseAboutActor<wire::ActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto& identity = *session.identity;
  if (identity.kind != wire::ProcessKind::Worker || house_.Get(identity.worker).actor != request->actor)
    return Fail(ErrorCode::kProtocolError,
                StrCat("actor ", request->actor.hex(), " does not live in the process that ends it"));
  if (const HostedActors::Hosted* const hosted = hosted_.Find(request->actor))
    post_.Tell(hosted->home(), wire::ActorMessage::ActorLeaves, frame.body);
  else
    actors_.Exited(request->actor);
  return {};
}

// ---- at the host

void ActorDesk::TellActorGone(const HostedActors::Hosted& hosted, bool never_began, Failure failure) {
  wire::ActorGoneNoticeT gone;
  gone.actor = std::make_unique<wire::Id20>(ToWire(hosted.creation->actor->id));
  gone.never_began = never_began;
  gone.failure = std::make_unique<Failure>(std::move(failure));
  post_.Tell(hosted.home(), wire::ActorMessage::ActorGone, Encode(gone));
}

Result<void> ActorDesk::OnEndActor(const NodeId& node, const Frame& frame) {
  const auto notice = ParseAboutActor<wire::EndActorNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const HostedActors::Hosted* const hosted = hosted_.Find(notice->actor);
  // The actor's end, or the creation, is on its way to the home.
  if (hosted == nullptr || hosted->home() != node) return {};
  if (hosted->worker != 0) {
    queue_->EndWorker(hosted->worker, notice->message.at_once);
    return {};
  }
  queue_->CancelCreation(hosted->creation->id);
  Failure failure = Refused(hosted->creation->name, hosted->creation->function, "it was ended before it began");
  failure.kind = wire::FailureKind::ActorDied;
  TellActorGone(*hosted_.Take(notice->actor), /*never_began=*/false, std::move(failure));
  return {};
}

// ---- at home

Result<void> ActorDesk::OnActorGone(const NodeId& node, const Frame& frame) {
  const auto notice = ParseAboutActor<wire::ActorGoneNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  RAYLET_RETURN_IF_ERROR(CheckFailure(notice->message.failure.get()));
  queue_->ActorLeft(node, notice->actor);
  const ActorDirectory::Actor* const actor = actors_.Get(notice->actor);
  if (actor != nullptr && actor->place == Place::There(node)) {  // otherwise the actor has been given up already
    queue_->CreationEndedThere(node, actor->creation->id);
    Failure failure = *notice->message.failure;
    failure.message += StrCat(", on the machine at ", post_.AddressOf(node));
    if (notice->message.never_began)
      actors_.CreationLost(notice->actor, failure);
    else
      actors_.WorkerGone(notice->actor, Place::There(node), failure);
  }
  return {};
}

Result<void> ActorDesk::OnActorLeaves(const NodeId& node, const Frame& frame) {
  const auto request = ParseAboutActor<wire::ActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const ActorDirectory::Actor* const actor = actors_.Get(request->actor);
  if (actor != nullptr && actor->place == Place::There(node)) actors_.Exited(request->actor);
  return {};
}

Result<void> ActorDesk::OnKillRemote(const NodeId&, const Frame& frame) {
  const auto request = ParseAboutActor<wire::KillActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  actors_.Kill(request->actor, request->message.no_restart);
  return {};
}

// ---- for the other desks

void ActorDesk::OnCreationCame(const TaskPtr& creation) {
  hosted_.Came(creation);
  leases_.Begin(creation->from);
}

std::optional<CreationEvents::Begins> ActorDesk::OnCreationPlaced(const Task& creation, const Place& place) {
  const ActorId& id = creation.actor->id;
  actors_.Placed(id, place);
  hosted_.Runs(id, place.worker);
  if (const ActorDirectory::Actor* const actor = actors_.Get(id)) return Begins{actor->incarnation(), 0};
  if (const HostedActors::Hosted* const hosted = hosted_.Find(id))
    return Begins{hosted->incarnation(), leases_.Of(hosted->home())};
  return {};
}

void ActorDesk::OnConstructed(const ActorId& actor, ProcessId process) {
  hosted_.Constructed(actor);
  actors_.Constructed(actor, process);
}

void ActorDesk::OnConstructorFailed(const ActorId& actor, const Failure& failure) {
  actors_.ConstructorFailed(actor, failure);
}

void ActorDesk::OnCreationLost(const Task& creation, Failure failure) {
  const ActorId& id = creation.actor->id;
  if (!creation.IsRemote())
    actors_.CreationLost(id, failure);
  else if (const auto hosted = hosted_.Take(id))
    TellActorGone(*hosted, /*never_began=*/true, std::move(failure));
}

Result<void> ActorDesk::OpenActor(const ActorId& actor, ProcessId caller, uint64_t request_id) {
  return actors_.Open(actor, caller, request_id);
}

void ActorDesk::GrantFailed(const ActorId& actor, ProcessId caller, uint64_t request_id) {
  actors_.GrantFailed(actor, caller, request_id);
}

WorkerId ActorDesk::WorkerOf(const ActorId& actor) const {
  if (const HostedActors::Hosted* const hosted = hosted_.Find(actor)) return hosted->worker;
  const ActorDirectory::Actor* const ours = actors_.Get(actor);
  return ours == nullptr ? 0 : ours->place.worker;
}

LeaseNumber ActorDesk::LeaseOf(const ActorId& actor) const {
  const HostedActors::Hosted* const hosted = hosted_.Find(actor);
  return hosted == nullptr ? 0 : leases_.Of(hosted->home());
}

size_t ActorDesk::CallsAtOnceOf(const ActorId& actor) const {
  int32_t calls = 1;
  if (const HostedActors::Hosted* const hosted = hosted_.Find(actor))
    calls = hosted->creation->actor->max_concurrency;
  else if (const ActorDirectory::Actor* const ours = actors_.Get(actor))
    calls = ours->settings().max_concurrency;
  return static_cast<size_t>(std::max(1, calls));
}

// ---- ends

void ActorDesk::WorkerGone(const GoneWorker& gone) {
  const WorkerRecord& record = gone.record;
  if (!record.actor) return;
  if (const ActorDirectory::Actor* const actor = actors_.Get(*record.actor)) {
    Failure failure = ActorWorkerDied(*actor->creation, record.constructed, *record.exit);
    if (const std::string why = queue_->WhyGroupEnded(*actor->creation); !why.empty())
      failure.message += StrCat(", because ", why);
    actors_.WorkerGone(*record.actor, Place::Here(gone.worker), failure);
  } else if (const auto hosted = hosted_.WorkerGone(*record.actor, gone.worker)) {
    TellActorGone(*hosted, /*never_began=*/false, ActorWorkerDied(*hosted->creation, record.constructed, *record.exit));
  }
}

void ActorDesk::JobEnded(JobId job, const ProcessSet& ended, const ProcessSet& survivors) {
  actors_.ProcessesGone(ended);
  actors_.JobEnded(job, survivors);
}

void ActorDesk::CreatorsSettled(const ProcessSet& processes, const std::function<bool(const ActorId&)>& is_kept) {
  actors_.OwnersSettled(processes, is_kept);
  decisions_.CarryOutSoon();
}

std::vector<ObjectId> ActorDesk::StoredArgumentsOf(const ActorId& actor) const {
  return actors_.Get(actor)->creation->stored_arguments;
}

void ActorDesk::LetGo(const ActorId& actor) {
  actors_.LetGo(actor);
  decisions_.CarryOutSoon();
}

// ---- decisions

void ActorDesk::CarryOut(const std::vector<ActorDecision>& decisions) {
  const Overloaded carry_out{
      [this](const CreateActorNow& create) { Create(create); },
      [this](const CancelCreation& cancel) { queue_->CancelCreation(cancel.creation); },
      [this](const EndActorWorker& end) { End(end); },
      [this](const TellActorChanged& change) { calls_->OnActorChanged(change); },
      [this](const GrantChannel& grant) { calls_->OnGranted(grant); },
      [this](const RefuseChannel& refuse) { calls_->OnRefused(refuse); },
      [this](const NameFreed& freed) { names_.Release(freed.actor); },
      [this](const ActorMoved& moved) { Publish(moved); },
      [this](const LastDetachedEnded&) { job_may_end_(); },
  };
  for (const ActorDecision& decision : decisions) std::visit(carry_out, decision);
}

// The session with the host before ended for another reason than its silence. That host may not know of it, and lets
// the actor serve until its lease runs out.
void ActorDesk::CreateLater(const CreateActorNow& create, Duration wait) {
  const ActorId& id = create.creation->actor->id;
  const auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(wait);
  RAYLET_LOG(kInfo, "actor ", id.hex(), " starts again in ", wait_ms.count(),
             " ms: its host may let it serve until then");
  waits_[id] = Timer(loop_, wait_ms, {}, [this, create, id] {
    const auto done = waits_.extract(id);
    if (decisions_.stopped() || !actors_.MayRestart(id, create.incarnation)) return;
    Create({create.creation, create.incarnation, {}});
    decisions_.CarryOut();
  });
}

void ActorDesk::Create(const CreateActorNow& create) {
  if (const Duration wait = create.not_before - clock_.Now(); wait > Duration::zero()) return CreateLater(create, wait);
  const auto submitted = queue_->SubmitCreation(create.creation);
  if (submitted) return;
  const Task& task = *create.creation;
  Failure failure = Refused(task.name, task.function, submitted.error().message);
  failure.kind = wire::FailureKind::ActorDied;
  actors_.CreationLost(task.actor->id, failure);
}

void ActorDesk::End(const EndActorWorker& end) {
  if (!end.place.IsRemote()) return queue_->EndWorker(end.place.worker, end.at_once);
  wire::EndActorNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(end.actor));
  notice.at_once = end.at_once;
  post_.Tell(end.place.node, wire::ActorMessage::EndActor, Encode(notice));
}

void ActorDesk::Publish(const ActorMoved& moved) {
  if (moved.place.IsNowhere())
    names_.Forget(moved.actor, moved.start);
  else
    names_.Place(moved.actor, moved.place.IsRemote() ? moved.place.node : post_.node(), moved.start);
}

}  // namespace raylet
