#include "raylet/actors/actor_directory.h"

#include <algorithm>

#include "base/strings.h"
#include "raylet/actors/failure_text.h"

namespace raylet {
namespace {

std::string Describe(const Task& creation) {
  const auto& settings = *creation.actor;
  if (settings.name.empty()) return StrCat("actor ", settings.id.hex(), " (", creation.function, ")");
  return StrCat("actor '", settings.name, "' (", creation.function, ")");
}

}  // namespace

Failure ActorFailure(const Task& creation, std::string message, std::string hint) {
  Failure failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.message = std::move(message);
  failure.function = creation.function;
  failure.hint = std::move(hint);
  return failure;
}

ActorDirectory::Actor* ActorDirectory::Find(const ActorId& id) {
  const auto found = living_.find(id);
  return found == living_.end() ? nullptr : &found->second;
}

const ActorDirectory::Actor* ActorDirectory::Get(const ActorId& id) const {
  const auto found = living_.find(id);
  return found == living_.end() ? nullptr : &found->second;
}

Result<void> ActorDirectory::Create(TaskPtr creation, bool name_is_to_be_taken) {
  const ActorSettings& settings = *creation->actor;
  if (living_.contains(settings.id) || dead_.Contains(settings.id))
    return Fail(ErrorCode::kAlreadyExists, StrCat("actor ", settings.id.hex(), " has been created already"));
  if (living_.size() >= kActorsMax) {
    return Fail(ErrorCode::kFull, StrCat("this node has ", kActorsMax,
                                         " actors, which is its limit: end some before you "
                                         "create more"));
  }
  if (!settings.name.empty()) {
    const auto [holder, is_free] = names_.try_emplace({settings.actor_namespace, settings.name}, settings.id);
    if (!is_free) {
      const Actor& other = living_.at(holder->second);
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("the name '", settings.name, "' in namespace '", settings.actor_namespace,
                         "' is taken by actor ", other.id.hex(), " (", other.creation->function, ", ",
                         wire::EnumNameActorState(other.state), "): kill that one, or choose another name"));
    }
  }
  Actor actor;
  actor.id = settings.id;
  actor.owner = settings.detached ? 0 : creation->owner;
  actor.restarts_left = settings.max_restarts;
  actor.watchers.insert(creation->owner);
  actor.creation = std::move(creation);
  actor.awaits_name = name_is_to_be_taken;
  if (!actor.awaits_name) decisions_.emplace_back(CreateActorNow{actor.creation});
  if (actor.settings().detached) ++detached_[actor.creation->job];
  const ActorId id = actor.id;
  living_.try_emplace(id, std::move(actor));
  return {};
}

bool ActorDirectory::NameTaken(const ActorId& id) {
  Actor* const actor = Find(id);
  if (actor == nullptr) return false;
  if (std::exchange(actor->awaits_name, false)) decisions_.emplace_back(CreateActorNow{actor->creation});
  return true;
}

void ActorDirectory::NameLost(const ActorId& id) {
  if (const Actor* const actor = Find(id)) FreeName(*actor);
}

bool ActorDirectory::BearsName(const ActorId& id) const {
  const Actor* const actor = Get(id);
  if (actor == nullptr) return false;
  const auto bearer = names_.find({actor->settings().actor_namespace, actor->settings().name});
  return bearer != names_.end() && bearer->second == id;
}

void ActorDirectory::Placed(const ActorId& id, const Place& place) {
  if (Actor* const actor = Find(id)) actor->place = place;
}

void ActorDirectory::Returned(const ActorId& id, const NodeId& node) {
  Actor* const actor = Find(id);
  if (actor == nullptr || actor->place != Place::There(node)) return;
  actor->place = {};
  actor->restarting.reset();  // the actor starts again in any case
  if (actor->leaving) Die(*actor, *std::exchange(actor->leaving, std::nullopt));
}

void ActorDirectory::Constructed(const ActorId& id, ProcessId process) {
  Actor* const actor = Find(id);
  if (actor == nullptr || actor->place.IsNowhere() || actor->restarting || actor->leaving ||
      actor->state == wire::ActorState::Alive)
    return;
  actor->state = wire::ActorState::Alive;
  actor->process = process;
  Tell(*actor, nullptr);
  decisions_.emplace_back(ActorMoved{id, actor->place, uint64_t{actor->restarts} + 1});
  for (const PendingOpen& open : std::exchange(actor->opens, {})) Grant(*actor, open);
}

void ActorDirectory::ConstructorFailed(const ActorId& id, const Failure& thrown) {
  Actor* const actor = Find(id);
  if (actor == nullptr || actor->state == wire::ActorState::Alive) return;
  if (actor->restarting || actor->leaving) return;  // the worker's end decides what happens next
  Failure failure = ActorFailure(
      *actor->creation, StrCat("the constructor of ", Describe(*actor->creation), " failed: ", thrown.message),
      thrown.hint.empty() ? "fix the cause of the exception; a restart would throw it again" : thrown.hint);
  failure.exception_type = thrown.exception_type;
  failure.what = thrown.what;
  failure.pid = thrown.pid;
  actor->place = {};  // the scheduler ends the worker
  Die(*actor, std::move(failure));
}

void ActorDirectory::CreationLost(const ActorId& id, const Failure& failure) {
  if (Actor* const actor = Find(id)) Die(*actor, failure);
}

void ActorDirectory::WorkerGone(const ActorId& id, const Place& place, const Failure& failure) {
  Actor* const actor = Find(id);
  if (actor != nullptr && actor->place == place) Ended(*actor, failure, {});
}

void ActorDirectory::Ended(Actor& actor, const Failure& failure, const End& end) {
  actor.place = {};
  if (actor.leaving) {
    Die(actor, *std::exchange(actor.leaving, std::nullopt), end.host_lost);
    return;
  }
  if (actor.restarting) {
    // They wait for its last replies. Of a lost host none counts any more.
    if (end.host_lost) Tell(actor, std::make_shared<const Failure>(*actor.restarting), end.host_lost);
    Restart(actor, end.serves_until);
    return;
  }
  if (actor.restarts_left != 0) {
    if (actor.restarts_left > 0) actor.restarts_left--;
    actor.state = wire::ActorState::Restarting;
    Tell(actor, std::make_shared<const Failure>(failure), end.host_lost);
    Restart(actor, end.serves_until);
    return;
  }
  Die(actor, failure, end.host_lost);
}

void ActorDirectory::Restart(Actor& actor, TimePoint not_before) {
  actor.state = wire::ActorState::Restarting;
  actor.restarting.reset();
  actor.restarts++;
  decisions_.emplace_back(CreateActorNow{actor.creation, actor.incarnation(), not_before});
}

bool ActorDirectory::MayRestart(const ActorId& id, uint32_t incarnation) const {
  const Actor* const actor = Get(id);
  return actor != nullptr && actor->incarnation() == incarnation && actor->place.IsNowhere();
}

Result<void> ActorDirectory::Open(const ActorId& id, ProcessId caller, uint64_t request_id) {
  Actor* const actor = Find(id);
  if (actor == nullptr) {
    decisions_.emplace_back(RefuseChannel{id, caller, request_id, std::make_shared<const Failure>(WhyDead(id))});
    return {};
  }
  actor->watchers.insert(caller);
  if (actor->state == wire::ActorState::Alive && !actor->leaving) {
    Grant(*actor, {caller, request_id});
    return {};
  }
  const auto waiting = std::count_if(actor->opens.begin(), actor->opens.end(),
                                     [caller](const PendingOpen& open) { return open.caller == caller; });
  if (static_cast<size_t>(waiting) >= kOpensPerCallerMax) {
    return Fail(ErrorCode::kFull, StrCat(kOpensPerCallerMax, " requests of this process for a channel to ",
                                         Describe(*actor->creation), " wait already"));
  }
  actor->opens.push_back({caller, request_id});
  return {};
}

void ActorDirectory::Grant(const Actor& actor, const PendingOpen& open) {
  decisions_.emplace_back(
      GrantChannel{actor.id, actor.place, actor.process, open.caller, open.request_id, actor.incarnation()});
}

void ActorDirectory::GrantFailed(const ActorId& id, ProcessId caller, uint64_t request_id) {
  if (Actor* const actor = Find(id))
    actor->opens.push_back({caller, request_id});
  else
    decisions_.emplace_back(RefuseChannel{id, caller, request_id, std::make_shared<const Failure>(WhyDead(id))});
}

void ActorDirectory::Kill(const ActorId& id, bool no_restart) {
  Actor* const actor = Find(id);
  if (actor == nullptr) return;
  if (no_restart) {
    Die(*actor, ActorFailure(*actor->creation, StrCat(Describe(*actor->creation), " was killed by Kill()"),
                             "create it again if it is still needed"));
    return;
  }
  if (actor->place.IsNowhere() || actor->restarting || actor->leaving) return;  // the actor already restarts, or ends
  Failure failure =
      ActorFailure(*actor->creation, StrCat(Describe(*actor->creation), " was killed by Kill(false) and restarts"),
                   "call it again: it has fresh state");
  failure.may_have_run = true;
  actor->restarting = failure;
  actor->state = wire::ActorState::Restarting;
  Tell(*actor, std::make_shared<const Failure>(failure));
  decisions_.emplace_back(EndActorWorker{actor->id, actor->place, true});
}

void ActorDirectory::Release(const ActorId& id, ProcessId by) {
  Actor* const actor = Find(id);
  if (actor == nullptr || actor->settings().detached || actor->owner != by) return;
  Leave(*actor, ActorFailure(*actor->creation,
                             StrCat(Describe(*actor->creation), " ended because no handle refers to it any more"),
                             "keep a handle for as long as the actor is needed, or make it detached"));
}

void ActorDirectory::Exited(const ActorId& id) {
  Actor* const actor = Find(id);
  if (actor == nullptr) return;
  Leave(*actor, ActorFailure(*actor->creation, StrCat(Describe(*actor->creation), " ended itself (ExitActor)"), ""));
}

Result<ActorId> ActorDirectory::Find(const std::string& name, const std::string& actor_namespace, ProcessId asker) {
  const auto found = names_.find({actor_namespace, name});
  if (found == names_.end() || living_.at(found->second).awaits_name) {
    return Fail(ErrorCode::kNotFound,
                StrCat("no actor has the name '", name, "' in namespace '", actor_namespace, "'"));
  }
  living_.at(found->second).watchers.insert(asker);
  return found->second;
}

void ActorDirectory::Watch(const ActorId& id, ProcessId process) {
  if (Actor* const actor = Find(id)) {
    actor->watchers.insert(process);
    return;
  }
  decisions_.emplace_back(
      TellActorChanged{process, id, wire::ActorState::Dead, 0, std::make_shared<const Failure>(WhyDead(id))});
}

void ActorDirectory::ProcessesGone(const ProcessSet& processes) {
  for (auto& [id, actor] : living_) {
    std::erase_if(actor.watchers, [&](ProcessId watcher) { return processes.contains(watcher); });
    std::erase_if(actor.opens, [&](const PendingOpen& open) { return processes.contains(open.caller); });
  }
}

void ActorDirectory::OwnersSettled(const ProcessSet& processes, const std::function<bool(const ActorId&)>& is_kept) {
  for (const ActorId& id : CreatedBy(processes)) {
    if (!is_kept || !is_kept(id)) EndWith(living_.at(id), "the process that created it", "creator");
  }
}

void ActorDirectory::EndWith(Actor& actor, std::string_view ended, std::string_view outlived) {
  Die(actor,
      ActorFailure(*actor.creation, StrCat(Describe(*actor.creation), " ended with ", ended, " (", actor.owner, ")"),
                   StrCat("an actor that shall outlive its ", outlived, " must be detached")));
}

void ActorDirectory::JobEnded(JobId job, const ProcessSet& survivors) {
  std::vector<ActorId> of_job;
  for (const auto& [id, actor] : living_)
    if (actor.creation->job == job && EndsWithJob(actor, survivors)) of_job.push_back(id);
  for (const ActorId& id : of_job) EndWithJob(living_.at(id));
}

void ActorDirectory::EndWithJob(Actor& actor) { EndWith(actor, "the program whose process created it", "program"); }

void ActorDirectory::LetGo(const ActorId& id) {
  if (const Actor* const actor = Get(id)) Release(id, actor->owner);
}

std::vector<ActorId> ActorDirectory::CreatedBy(const ProcessSet& processes) const {
  std::vector<ActorId> created;
  for (const auto& [id, actor] : living_)
    if (processes.contains(actor.owner)) created.push_back(id);
  return created;
}

size_t ActorDirectory::MachineLost(const LostMachine& lost, size_t part) {
  const auto has_gone = [&](ProcessId process) {
    return MachineOf(process) == lost.machine || lost.ended.contains(process);
  };
  std::vector<ActorId> there, of_ended;
  living_.ForEachInPart(part, [&](auto& entry) {
    auto& [id, actor] = entry;
    std::erase_if(actor.watchers, has_gone);
    std::erase_if(actor.opens, [&](const PendingOpen& open) { return has_gone(open.caller); });
    const auto job = lost.jobs.find(actor.creation->job);
    if (job != lost.jobs.end() && EndsWithJob(actor, job->second))
      of_ended.push_back(id);
    else if (actor.place == Place::There(lost.node))
      there.push_back(id);
  });
  for (const ActorId& id : of_ended) EndWithJob(living_.at(id));
  for (const ActorId& id : there) {
    Actor& actor = living_.at(id);
    Ended(actor,
          MachineDiedWhileHosting(*actor.creation, actor.state == wire::ActorState::Alive, lost.address, lost.why),
          {true, lost.serves_until});
  }
  return there.size() + of_ended.size();
}

void ActorDirectory::Tell(const Actor& actor, std::shared_ptr<const Failure> failure, bool host_lost) {
  const uint32_t ended = failure == nullptr ? 0 : actor.incarnation();
  for (const ProcessId watcher : actor.watchers)
    decisions_.emplace_back(
        TellActorChanged{watcher, actor.id, actor.state, actor.restarts, failure, ended, host_lost});
}

// The actor finishes the calls in its rings, whose results somebody may want. It is reported as Dead when its worker
// has gone.
void ActorDirectory::Leave(Actor& actor, Failure failure) {
  if (actor.leaving) return;
  if (actor.place.IsNowhere()) {
    Die(actor, std::move(failure));
    return;
  }
  FreeName(actor);
  actor.restarting.reset();
  actor.leaving = std::move(failure);
  decisions_.emplace_back(EndActorWorker{actor.id, actor.place, false});
}

void ActorDirectory::Die(Actor& actor, Failure failure, bool host_lost) {
  actor.state = wire::ActorState::Dead;
  const auto told = std::make_shared<const Failure>(std::move(failure));
  Tell(actor, told, host_lost);
  for (const PendingOpen& open : actor.opens)
    decisions_.emplace_back(RefuseChannel{actor.id, open.caller, open.request_id, told});
  if (!actor.place.IsNowhere()) decisions_.emplace_back(EndActorWorker{actor.id, actor.place, true});
  decisions_.emplace_back(CancelCreation{actor.creation->id});
  FreeName(actor);
  const ActorId id = actor.id;
  decisions_.emplace_back(ActorMoved{id, {}, uint64_t{actor.restarts} + 1});
  dead_.Add(id, *told);
  if (actor.settings().detached) {
    const auto detached = detached_.find(actor.creation->job);
    if (--detached->second == 0) {
      detached_.erase(detached);
      decisions_.emplace_back(LastDetachedEnded{actor.creation->job});
    }
  }
  living_.erase(living_.find(id));
}

void ActorDirectory::FreeName(const Actor& actor) {
  const auto bearer = names_.find({actor.settings().actor_namespace, actor.settings().name});
  if (bearer == names_.end() || bearer->second != actor.id) return;
  names_.erase(bearer);
  decisions_.emplace_back(NameFreed{actor.id});
}

Failure ActorDirectory::WhyDead(const ActorId& id) const {
  if (auto known = dead_.WhyDead(id)) return *std::move(known);
  Failure failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.message = StrCat("this node knows no actor ", id.hex(), ": it ended long ago, or was never created");
  failure.retry_safe = true;
  failure.hint = "create the actor first, and keep its handle";
  return failure;
}

}  // namespace raylet
