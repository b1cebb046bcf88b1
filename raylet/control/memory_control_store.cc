#include "raylet/control/memory_control_store.h"

#include <utility>

#include "base/strings.h"

namespace raylet {

ControlStore::State MemoryControlStore::state() const {
  State state;
  state.address = "in process";
  state.connected = reachable_;
  state.problem = reachable_ ? "" : "made unreachable";
  state.connection = connection_;
  state.calls = calls_;
  state.timed_out = refused_;
  return state;
}

void MemoryControlStore::SetReachable(bool reachable) {
  if (reachable && !reachable_) ++connection_;
  reachable_ = reachable;
}

void MemoryControlStore::Later(std::function<void()> work) {
  later_([work = std::move(work), alive = alive_] {
    if (*alive) work();
  });
}

template <class T>
void MemoryControlStore::Answer(Done<T> done, std::function<Result<T>()> make) {
  ++calls_;
  Later([this, done = std::move(done), make = std::move(make)] {
    if (reachable_) return done(make());
    ++refused_;
    done(Fail(ErrorCode::kUnavailable, "the control store is out of reach"));
  });
}

CellText MemoryControlStore::Now(const std::string& key) {
  const auto found = cells_.find(key);
  if (found == cells_.end()) return std::nullopt;
  if (found->second.expires > clock_.Now()) return found->second.value;
  cells_.erase(found);
  return std::nullopt;
}

void MemoryControlStore::Change(Cell cell, CellRule rule, Deadline, Done<Changed> done) {
  Answer<Changed>(std::move(done), [this, key = cell.Key(), rule = std::move(rule)]() -> Result<Changed> {
    const CellText now = Now(key);
    auto change = rule(now);
    if (!change) return Fail(std::move(change).error());
    switch (change->kind) {
      case CellChange::Kind::kKeep: break;
      case CellChange::Kind::kErase: cells_.erase(key); break;
      case CellChange::Kind::kWrite:
        cells_[key] = {std::move(change->value), change->expiry == Duration::zero()
                                                     ? TimePoint::max()
                                                     : Deadline::AfterFrom(clock_.Now(), change->expiry).at()};
        break;
    }
    return Changed{now.has_value(), connection_};
  });
}

void MemoryControlStore::Read(Cell cell, Deadline, Done<CellText> done) {
  Answer<CellText>(std::move(done), [this, key = cell.Key()]() -> Result<CellText> { return Now(key); });
}

void MemoryControlStore::List(std::string_view kind, std::string prefix, Pick pick, Deadline,
                              Done<std::vector<std::string>> done) {
  using Texts = std::vector<std::string>;
  Answer<Texts>(std::move(done), [=, this, kind_prefix = StrCat(kind, ":"), pick = std::move(pick)]() -> Result<Texts> {
    Texts texts;
    const std::string from = kind_prefix + prefix;
    for (auto at = cells_.lower_bound(from); at != cells_.end() && at->first.starts_with(from); ++at) {
      if (at->second.expires <= clock_.Now()) continue;
      auto picked = pick(at->first.substr(kind_prefix.size()), at->second.value);
      if (!picked) continue;
      if (texts.size() >= kControlListMax) return Fail(TooManyListed(kind_prefix, prefix));
      texts.push_back(std::move(*picked));
    }
    return texts;
  });
}

}  // namespace raylet
