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

void ActorNames::Take(const ActorSettings& actor, Done<void> done) {
  const Deadline deadline = Deadline::After(patience_);
  const NameEntry entry{actor.actor_namespace, actor.name, actor.id, 1, control_->own().id, actor.max_task_retries};
  TryTake(entry, {}, deadline, [this, entry, deadline, done = std::move(done)](Result<void> taken) {
    if (taken || taken.error().code != ErrorCode::kAlreadyExists) return done(std::move(taken));
    TakeOver(entry, taken.error(), deadline, done);
  });
}

void ActorNames::TryTake(const NameEntry& entry, const std::optional<NameEntry>& instead_of, Deadline deadline,
                         Done<void> done) {
  control_->TakeName(
      entry, instead_of, deadline, WhileAlive<void>([this, entry, done = std::move(done)](Result<void> taken) {
        if (taken) {
          entries_[entry.actor] = entry;
          return done({});
        }
        Error why = taken.error();
        if (why.code != ErrorCode::kAlreadyExists) {
          why.message = StrCat("the name '", entry.name, "' could not be taken within ", patience_.count(),
                               " ms, which needs the cluster's control store: ", why.message);
        }
        done(Fail(std::move(why)));
      }));
}

// Another actor has the name. We may take it over in two cases. The other is an actor of ours that
// has already lost the name. Or its machine's lease has run out and we cannot reach that machine
// either.
void ActorNames::TakeOver(NameEntry entry, const Error& taken, Deadline deadline, Done<void> done) {
  const auto find = [this, entry, taken, deadline, done](Result<NameEntry> holder) mutable {
    if (!holder) return done(Fail(taken));  // released meanwhile, or the store is away
    entry.epoch = holder->epoch + 1;
    if (holder->node == entry.node) {
      if (lives_(holder->actor)) return done(Fail(taken));
      return TryTake(entry, *holder, deadline, done);
    }
    const ClusterView::Node* const node = view_.Find(holder->node);
    if (node != nullptr && node->state != NodeState::kDead) return done(Fail(taken));
    control_->store().ListNodes(
        deadline, WhileAlive<std::vector<NodeRecord>>([this, entry, taken, deadline, done,
                                                       holder = *holder](Result<std::vector<NodeRecord>> nodes) {
          if (!nodes ||
              std::any_of(nodes->begin(), nodes->end(), [&](const NodeRecord& each) { return each.id == holder.node; }))
            return done(Fail(taken));
          TryTake(entry, holder, deadline, done);
        }));
  };
  control_->store().FindName(entry.actor_namespace, entry.name, deadline, WhileAlive<NameEntry>(find));
}

void ActorNames::Release(const ActorId& actor) {
  const auto entry = entries_.extract(actor);
  if (!entry.empty()) control_->ReleaseName(entry.mapped());
}

void ActorNames::Find(const std::string& actor_namespace, const std::string& name, Done<FoundActor> done) {
  control_->store().FindName(actor_namespace, name, Deadline::After(patience_),
                             WhileAlive<NameEntry>([done = std::move(done)](Result<NameEntry> found) {
                               if (!found) return done(Fail(std::move(found).error()));
                               done(FoundActor{found->actor, found->max_task_retries});
                             }));
}

std::optional<ActorId> ActorNames::OnLost(const Published::Lost& lost) {
  const auto* const entry = std::get_if<NameEntry>(&lost.item);
  if (entry == nullptr) return std::nullopt;
  const auto ours = entries_.find(entry->actor);
  if (ours == entries_.end() || ours->second != *entry) return std::nullopt;
  entries_.erase(ours);
  return entry->actor;
}

void ActorNames::Place(const ActorId& actor, const NodeId& host, uint64_t epoch) {
  if (control_ != nullptr) control_->PlaceActor({actor, host, epoch, wire::ActorState::Alive});
}

void ActorNames::Forget(const ActorId& actor, uint64_t epoch) {
  if (control_ != nullptr) control_->ForgetActor(actor, epoch);
}

}  // namespace raylet
