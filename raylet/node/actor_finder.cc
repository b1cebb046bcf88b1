#include "raylet/node/actor_finder.h"

#include "base/strings.h"
#include "fbs/text_bounds.h"
#include "raylet/node/inbound.h"

namespace raylet {

ActorFinder::ActorFinder(ActorDirectory& actors, ActorNames& names, const Services& services)
    : actors_(actors),
      names_(names),
      post_(services.post),
      door_(services.door),
      jobs_(services.jobs),
      decisions_(services.decisions) {}

Result<void> ActorFinder::OnFindActor(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::FindActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  RAYLET_RETURN_IF_ERROR(CheckName("a name", request->name));
  RAYLET_RETURN_IF_ERROR(CheckName("a namespace", request->actor_namespace));
  const auto& identity = *session.identity;
  const std::string& space =
      request->actor_namespace.empty() ? jobs_.Get(identity.job).actor_namespace : request->actor_namespace;
  const auto ours = actors_.Find(request->name, space, identity.process);
  const Result<FoundActor> found = ours ? Result<FoundActor>({*ours, actors_.Get(*ours)->settings().max_task_retries})
                                        : Result<FoundActor>(Fail(ours.error()));
  if (found || !names_.shared() || request->name.empty()) {
    Found(identity.process, frame.header.request_id, request->name, found);
    return {};
  }
  names_.Find(space, request->name,
              [this, asker = identity.process, request_id = frame.header.request_id,
               name = request->name](Result<FoundActor> shared) {
                if (decisions_.stopped()) return;
                Found(asker, request_id, name, shared);
                decisions_.CarryOut();
              });
  return {};
}

// Makes the asker a watcher, which hears of the actor's changes.
Result<void> ActorFinder::WatchAtHome(const ActorId& actor, const std::string& name, ProcessId asker) {
  if (post_.IsHome(actor)) {
    actors_.Watch(actor, asker);
    return {};
  }
  const ClusterView::Node* const home = post_.HomeOf(actor);
  if (home == nullptr)
    return Fail(ErrorCode::kNotFound, StrCat("the actor with the name '", name,
                                             "' was created on a machine that is lost, or that this one does not "
                                             "know yet"));
  calls_->OnFoundRemote(actor, asker);
  wire::WatchActorRequestT watch;
  watch.actor = std::make_unique<wire::Id20>(ToWire(actor));
  watch.process = asker;
  post_.Tell(home->id, wire::ActorMessage::WatchActor, Encode(watch));
  return {};
}

void ActorFinder::Found(ProcessId asker, uint64_t request_id, const std::string& name,
                        const Result<FoundActor>& found) {
  ProcessSession* const session = door_.SessionOf(asker);
  if (session == nullptr) return;
  const Result<void> watched = found ? WatchAtHome(found->id, name, asker) : Result<void>(Fail(found.error()));
  wire::FindActorReplyT reply;
  reply.status = watched ? OkStatus() : MakeWireStatus(watched.error());
  if (watched) {
    reply.actor = std::make_unique<wire::Id20>(ToWire(found->id));
    reply.max_task_retries = found->max_task_retries;
  }
  session->Send(wire::RayletMessage::FindActorReply, request_id, reply);
}

Result<void> ActorFinder::OnWatchActor(const NodeId& node, const Frame& frame) {
  const auto request = ParseAboutActor<wire::WatchActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, request->message.process));
  actors_.Watch(request->actor, request->message.process);
  return {};
}

}  // namespace raylet
