#include "raylet/actors/actor_names.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace raylet {

template <class T>
Done<T> ActorNames::WhileAlive(Done<T> done) {
  return [alive = alive_, done = std::move(done)](Result<T> result) {
    if (*alive) done(std::move(result));
  };
}

void ActorNames::Claim(const ActorSettings& actor, Done<void> done) {
  const Deadline deadline = Deadline::After(patience_);
  const NameClaim claim{actor.actor_namespace, actor.name, actor.id, 1, control_->own().id, actor.max_task_retries};
  TryClaim(claim, {}, deadline, [this, claim, deadline, done = std::move(done)](Result<void> claimed) {
    if (claimed || claimed.error().code != ErrorCode::kAlreadyExists) return done(std::move(claimed));
    TakeOver(claim, claimed.error(), deadline, done);
  });
}

void ActorNames::TryClaim(const NameClaim& claim, const std::optional<NameClaim>& instead_of, Deadline deadline,
                          Done<void> done) {
  control_->ClaimName(
      claim, instead_of, deadline, WhileAlive<void>([this, claim, done = std::move(done)](Result<void> claimed) {
        if (claimed) {
          claims_[claim.actor] = claim;
          return done({});
        }
        Error why = claimed.error();
        if (why.code != ErrorCode::kAlreadyExists) {
          why.message = StrCat("the name '", claim.name, "' could not be claimed within ", patience_.count(),
                               " ms, which needs the cluster's control store: ", why.message);
        }
        done(Fail(std::move(why)));
      }));
}

// Another actor has the name. We may take it over in two cases. The other is an actor of ours that
// has already lost the name. Or its machine's lease has run out and we cannot reach that machine
// either.
void ActorNames::TakeOver(NameClaim claim, const Error& taken, Deadline deadline, Done<void> done) {
  const auto find = [this, claim, taken, deadline, done](Result<NameClaim> holder) mutable {
    if (!holder) return done(Fail(taken));  // released meanwhile, or the store is away
    claim.epoch = holder->epoch + 1;
    if (holder->node == claim.node) {
      if (lives_(holder->actor)) return done(Fail(taken));
      return TryClaim(claim, *holder, deadline, done);
    }
    const ClusterView::Node* const node = view_.Find(holder->node);
    if (node != nullptr && node->state != NodeState::kDead) return done(Fail(taken));
    control_->store().ListNodes(
        deadline, WhileAlive<std::vector<NodeRecord>>([this, claim, taken, deadline, done,
                                                       holder = *holder](Result<std::vector<NodeRecord>> nodes) {
          if (!nodes ||
              std::any_of(nodes->begin(), nodes->end(), [&](const NodeRecord& each) { return each.id == holder.node; }))
            return done(Fail(taken));
          TryClaim(claim, holder, deadline, done);
        }));
  };
  control_->store().FindName(claim.actor_namespace, claim.name, deadline, WhileAlive<NameClaim>(find));
}

void ActorNames::Release(const ActorId& actor) {
  const auto claim = claims_.extract(actor);
  if (!claim.empty()) control_->ReleaseName(claim.mapped());
}

void ActorNames::Find(const std::string& actor_namespace, const std::string& name, Done<FoundActor> done) {
  control_->store().FindName(actor_namespace, name, Deadline::After(patience_),
                             WhileAlive<NameClaim>([done = std::move(done)](Result<NameClaim> found) {
                               if (!found) return done(Fail(std::move(found).error()));
                               done(FoundActor{found->actor, found->max_task_retries});
                             }));
}

std::optional<ActorId> ActorNames::OnLost(const Published::Lost& lost) {
  const auto* const claim = std::get_if<NameClaim>(&lost.item);
  if (claim == nullptr) return std::nullopt;
  const auto ours = claims_.find(claim->actor);
  if (ours == claims_.end() || ours->second != *claim) return std::nullopt;
  claims_.erase(ours);
  return claim->actor;
}

void ActorNames::Place(const ActorId& actor, const NodeId& host, uint64_t epoch) {
  if (control_ != nullptr) control_->PlaceActor({actor, host, epoch, wire::ActorState::Alive});
}

void ActorNames::Forget(const ActorId& actor, uint64_t epoch) {
  if (control_ != nullptr) control_->ForgetActor(actor, epoch);
}

}  // namespace raylet
