// StoreModel: what a store has promised, in a hundred lines: which objects there are, who writes, holds and owns them,
// and which of them may go. A test calls it beside the real store. Numbers stand for ids and for clients.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"

namespace raylet::test {

class StoreModel {
 public:
  struct Object {
    uint64_t version = 0;  // which of all objects that were ever created
    uint64_t bytes = 0;
    size_t creator = 0;
    bool owned = false, sealed = false;
    bool deleted = false;           // at its last release
    std::multiset<size_t> holders;  // a client for each of its views
  };

  // Gone for everybody once nobody holds it.
  static bool IsGone(const Object& object) { return object.deleted && object.sealed && object.holders.empty(); }
  const Object* Find(uint64_t number) const {
    const auto it = objects_.find(number);
    return it == objects_.end() || IsGone(it->second) ? nullptr : &it->second;
  }
  const std::map<uint64_t, Object>& objects() const { return objects_; }

  // ---- the verbs, with the outcome that the store must have ----
  ErrorCode Create(uint64_t number, uint64_t bytes, size_t client, bool owned, bool sealed) {
    if (Find(number) != nullptr) return ErrorCode::kAlreadyExists;
    objects_[number] = {.version = ++versions_,
                        .bytes = bytes,
                        .creator = client,
                        .owned = owned,
                        .sealed = sealed,
                        .deleted = false,
                        .holders = {}};
    return ErrorCode::kOk;
  }
  void Undo(uint64_t number) { objects_.erase(number); }  // a create that was refused, or an abort
  void Seal(uint64_t number) { objects_.at(number).sealed = true; }
  // The version that a client gets.
  std::optional<uint64_t> Get(uint64_t number, size_t client) {
    const Object* const object = Find(number);
    if (object == nullptr || !object->sealed) return std::nullopt;
    objects_.at(number).holders.insert(client);
    return object->version;
  }
  void Release(uint64_t number, uint64_t version, size_t client) {
    if (const auto it = objects_.find(number); it != objects_.end() && it->second.version == version)
      return Drop(it->second.holders, client);
    for (auto it = dying_.begin(); it != dying_.end(); ++it) {
      if (it->version != version) continue;
      Drop(it->holders, client);
      if (it->holders.empty()) dying_.erase(it);
      return;
    }
  }
  // Nothing where the store may say that it is there, or not.
  std::optional<ErrorCode> Delete(uint64_t number) {
    const auto it = objects_.find(number);
    if (it == objects_.end()) return ErrorCode::kNotFound;
    const bool gone = IsGone(it->second);
    if (!it->second.sealed) return ErrorCode::kWrongState;
    Kill(it);
    if (gone) return std::nullopt;
    return ErrorCode::kOk;
  }
  std::optional<ErrorCode> DeleteAtLastRelease(uint64_t number) {
    const auto it = objects_.find(number);
    if (it == objects_.end()) return ErrorCode::kNotFound;
    if (IsGone(it->second)) return std::nullopt;
    it->second.deleted = true;
    return ErrorCode::kOk;
  }
  // Its views are released before.
  void Disconnect(size_t client) {
    for (auto it = objects_.begin(); it != objects_.end();) {
      const auto here = it++;
      if (here->second.creator != client) continue;
      if (!here->second.sealed)
        objects_.erase(here);
      else if (here->second.owned)
        Kill(here);
    }
  }

  // ---- what the store may do by itself ----
  static bool MayBeEvicted(const Object& object) {
    return object.sealed && !object.owned && object.holders.empty() && !object.deleted;
  }
  void Evicted(uint64_t number) { objects_.erase(number); }
  // Bytes that no create can get; with a disk, owned objects make room too.
  uint64_t BytesThatStay(bool has_disk) const {
    uint64_t bytes = 0;
    for (const Object& object : dying_) bytes += object.bytes;
    for (const auto& [number, object] : objects_) {
      const bool spills = has_disk && object.sealed && object.holders.empty();
      if (!MayBeEvicted(object) && !IsGone(object) && !spills) bytes += object.bytes;
    }
    return bytes;
  }

 private:
  static void Drop(std::multiset<size_t>& holders, size_t client) { holders.erase(holders.find(client)); }
  void Kill(std::map<uint64_t, Object>::iterator it) {
    if (!it->second.holders.empty()) dying_.push_back(std::move(it->second));
    objects_.erase(it);
  }

  std::map<uint64_t, Object> objects_;
  std::vector<Object> dying_;  // deleted, and held
  uint64_t versions_ = 0;
};

}  // namespace raylet::test
