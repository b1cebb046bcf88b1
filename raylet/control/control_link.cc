#include "raylet/control/control_link.h"

#include <utility>

#include "base/id.h"

#include "base/log.h"
#include "base/strings.h"

namespace raylet {

ControlLink::ControlLink(Loop& loop, const Clock& clock, ControlStore& store, NodeRecord own,
                         ControlLinkOptions options)
    : loop_(loop),
      clock_(clock),
      store_(store),
      own_(std::move(own)),
      options_(options),
      draws_(own_.machine == kNoMachine) {}

ControlLink::~ControlLink() { *alive_ = false; }

std::function<void()> ControlLink::WhileAlive(std::function<void()> work) {
  return [alive = alive_, work = std::move(work)] {
    if (*alive) work();
  };
}

template <class T>
Done<T> ControlLink::WhileAlive(Done<T> done) {
  return [alive = alive_, done = std::move(done)](Result<T> result) {
    if (*alive) done(std::move(result));
  };
}

Deadline ControlLink::Soon() const { return Deadline::After(options_.call_timeout); }

// Joining

void ControlLink::Join(Deadline deadline, Done<void> done) {
  TakeMachineNumber(deadline, [this, deadline, done = std::move(done)](Result<void> drawn) {
    if (!drawn) return done(std::move(drawn));
    store_.RenewNode(own_, deadline,
                     WhileAlive<ControlStore::Renewal>([this, deadline, done](Result<ControlStore::Renewal> renewal) {
                       if (leaving_) return;
                       if (!renewal) return done(Fail(std::move(renewal).error()));
                       joined_ = true;
                       Renewed(renewal);
                       renew_timer_ = Timer(loop_, options_.renew_every, options_.renew_every, [this] { Renew(); });
                       if (!options_.store_is_new) return done({});
                       restored_ = true;
                       store_.MarkRestored(deadline, WhileAlive<void>(done));
                     }));
  });
}

void ControlLink::TakeMachineNumber(Deadline deadline, Done<void> done) {
  if (own_.machine == kNoMachine) own_.machine = NewMachineNumber();
  const auto taken = [this, deadline, done = std::move(done)](Result<void> result) {
    if (leaving_) return;
    if (result) number_taken_ = clock_.Now();
    if (result || result.error().code != ErrorCode::kAlreadyExists || joined_ || !draws_)
      return done(std::move(result));
    own_.machine = kNoMachine;
    TakeMachineNumber(deadline, done);
  };
  store_.TakeMachineNumber(own_.machine, {own_.id, own_.epoch}, deadline, WhileAlive<void>(taken));
}

void ControlLink::Leave(Deadline deadline, std::function<void()> left) {
  renew_timer_.Cancel();
  restored_timer_.Cancel();
  leaving_ = true;
  if (!joined_) return loop_.Post(WhileAlive(std::move(left)));
  store_.RemoveNode(own_.id, own_.epoch, deadline,
                    WhileAlive<void>([left = std::move(left)](const Result<void>&) { left(); }));
}

// Renewing

void ControlLink::Renew() {
  if (std::exchange(renewing_, true)) return;
  store_.RenewNode(own_, Soon(), WhileAlive<ControlStore::Renewal>([this](Result<ControlStore::Renewal> renewal) {
                     renewing_ = false;
                     if (!leaving_) Renewed(renewal);
                   }));
}

void ControlLink::Renewed(const Result<ControlStore::Renewal>& renewal) {
  if (!renewal) {
    if (problem_.empty()) RAYLET_LOG(kWarning, "the lease was not renewed: ", renewal.error().message);
    problem_ = renewal.error().message;
    if (renewal.error().code != ErrorCode::kAlreadyExists) return;
    renew_timer_.Cancel();
    if (const auto taken_over = std::exchange(on_taken_over_, nullptr)) taken_over(renewal.error());
    return;
  }
  if (!problem_.empty()) RAYLET_LOG(kWarning, "the lease is renewed again");
  problem_.clear();
  renewed_ = clock_.Now();
  const bool lost = published_.Renewed(renewal->fresh, renewal->connection, *renewed_);
  if (lost) {
    RAYLET_LOG(kWarning, "the control store may have lost what this raylet told it: publishing ", published_.due(),
               " items again");
  }
  if (lost || *renewed_ - number_taken_ >= options_.take_number_every) {
    TakeMachineNumber(Soon(), [](Result<void> taken) {
      if (!taken) RAYLET_LOG(kWarning, "machine number: ", taken.error().message);
    });
  }
  TellDue();
  for (const auto& telling : published_.TakeToCheck(options_.checked_each_time)) Tell(telling);
  AskWhetherRestored();
  ListNodes();
}

void ControlLink::AskWhetherRestored() {
  store_.IsRestored(Soon(), WhileAlive<bool>([this](Result<bool> restored) {
                      if (!restored || leaving_) return;
                      restored_ = *restored;
                      if (restored_) restored_timer_.Cancel();
                      if (!restored_ && !restored_timer_)
                        restored_timer_ = Timer(loop_, options_.restored_after, {}, [this] { DeclareRestored(); });
                    }));
}

void ControlLink::DeclareRestored() {
  restored_timer_.Cancel();
  store_.MarkRestored(Soon(), WhileAlive<void>([this](const Result<void>& marked) { restored_ = marked.has_value(); }));
}

void ControlLink::ListNodes() {
  store_.ListNodes(Soon(), WhileAlive<std::vector<NodeRecord>>([this](Result<std::vector<NodeRecord>> nodes) {
                     if (!nodes || leaving_) return;
                     nodes_ = std::move(*nodes);
                     listed_ = clock_.Now();
                     if (on_nodes_) on_nodes_(nodes_);
                   }));
}

// Publishing

void ControlLink::TellSoon() {
  if (!joined_ || std::exchange(tell_posted_, true)) return;
  loop_.Post(WhileAlive([this] {
    tell_posted_ = false;
    TellDue();
  }));
}

// While the store is away this does nothing; the next renewal that succeeds tells the due items.
void ControlLink::TellDue() {
  if (leaving_ || !problem_.empty() || telling_ >= options_.told_at_once) return;
  for (const auto& telling : published_.TakeDue(options_.told_at_once - telling_)) Tell(telling);
}

void ControlLink::Tell(const Published::Telling& telling) {
  ++telling_;
  const auto told = WhileAlive<void>([this, ticket = telling.ticket](Result<void> outcome) {
    --telling_;
    const auto lost = published_.Told(ticket, outcome);
    if (lost) {
      RAYLET_LOG(kWarning, "the control store gave an item of this raylet to another: ", lost->why.message);
      if (on_lost_) on_lost_(*lost);
    }
    if (outcome && published_.due() > 0) TellSoon();
  });
  const Deadline deadline = Soon();
  if (const auto* const entry = std::get_if<NameEntry>(&telling.item)) {
    telling.withdraw ? store_.ReleaseName(*entry, deadline, told) : store_.RestoreName(*entry, deadline, told);
  } else if (const auto* const placement = std::get_if<ActorPlacement>(&telling.item)) {
    telling.withdraw ? store_.ForgetActor(placement->actor, placement->epoch, deadline, told)
                     : store_.PlaceActor(*placement, deadline, told);
  } else {
    store_.RestoreKey(std::get<KeyValue>(telling.item), deadline, told);
  }
}

template <class T>
void ControlLink::Persist(std::function<void(Done<T>)> attempt, Deadline deadline, Done<T> done) {
  attempt(WhileAlive<T>([=, this](Result<T> result) {
    if (result || result.error().code != ErrorCode::kUnavailable || deadline.Passed()) return done(std::move(result));
    const uint64_t retry = next_retry_++;
    retries_[retry] = Timer(loop_, options_.retry_every, {}, [=, this] {
      const Timer fired = std::move(retries_.at(retry));
      retries_.erase(retry);
      Persist<T>(attempt, deadline, done);
    });
  }));
}

void ControlLink::TakeName(const NameEntry& entry, const std::optional<NameEntry>& instead_of, Deadline deadline,
                           Done<void> done) {
  if (const auto room = published_.HasRoom(0); !room)
    return loop_.Post(WhileAlive([done, why = room.error()] { done(Fail(why)); }));
  const auto attempt = [=, this](Done<void> tried) { store_.TakeName(entry, instead_of, deadline, std::move(tried)); };
  Persist<void>(attempt, deadline, [=, this](Result<void> taken) {
    if (taken) {
      published_.Keep(entry, clock_.Now());
    } else if (const ErrorCode code = taken.error().code;
               code != ErrorCode::kAlreadyExists && code != ErrorCode::kWrongState && code != ErrorCode::kInvalid) {
      published_.Withdraw(entry, clock_.Now());  // the call may have taken effect
    }
    done(std::move(taken));
  });
}

void ControlLink::ReleaseName(const NameEntry& entry) {
  published_.Withdraw(entry, clock_.Now());
  TellSoon();
}

void ControlLink::PlaceActor(const ActorPlacement& placement) {
  published_.Tell(placement, clock_.Now());
  TellSoon();
}

void ControlLink::ForgetActor(const ActorId& actor, uint64_t epoch) {
  published_.Withdraw(ActorPlacement{actor, own_.id, epoch, wire::ActorState::Dead}, clock_.Now());
  TellSoon();
}

void ControlLink::PutKey(const std::string& key, const std::string& value, bool only_if_absent, Deadline deadline,
                         Done<uint64_t> done) {
  if (const auto room = published_.HasRoom(key.size() + value.size()); !room)
    return loop_.Post(WhileAlive([done, why = room.error()] { done(Fail(why)); }));
  const auto attempt = [=, this](Done<uint64_t> tried) {
    store_.PutKey(key, value, only_if_absent, deadline, std::move(tried));
  };
  Persist<uint64_t>(attempt, deadline, [=, this](Result<uint64_t> version) {
    if (version) published_.Keep(KeyValue{key, value, *version, false}, clock_.Now());
    done(std::move(version));
  });
}

void ControlLink::DeleteKey(const std::string& key, Deadline deadline, Done<uint64_t> done) {
  const auto attempt = [=, this](Done<uint64_t> tried) { store_.DeleteKey(key, deadline, std::move(tried)); };
  Persist<uint64_t>(attempt, deadline, [=, this](Result<uint64_t> version) {
    if (version && *version > 0) published_.Keep(KeyValue{key, {}, *version, true}, clock_.Now());
    done(std::move(version));
  });
}

ControlLink::Status ControlLink::status() const {
  Status status;
  status.own = own_;
  status.joined = joined_;
  status.problem = problem_;
  status.renewed = renewed_;
  status.restored = restored_;
  status.published = published_.size();
  status.due = published_.due();
  status.losses = published_.losses();
  status.nodes = nodes_;
  status.listed = listed_;
  status.store = store_.state();
  return status;
}

}  // namespace raylet
