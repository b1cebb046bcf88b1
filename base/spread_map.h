// SpreadMap: a hash table whose growth is spread over time. It consists of many small tables, and each grows at another
// count. So no insertion moves more than a small part of the elements, where a std::unordered_map moves all of them at
// once. Its members are those of std::unordered_map. A walk over very many elements may take a part at a time: an
// element stays in its part. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace raylet {

template <class Key, class Value>
class SpreadMap {
  using Part = std::unordered_map<Key, Value>;

 public:
  static constexpr size_t kParts = 64;

 private:
  using Parts = std::array<Part, kParts>;

  template <bool kConst>
  class Iterator {
   public:
    using Owner = std::conditional_t<kConst, const Parts, Parts>;
    using At = std::conditional_t<kConst, typename Part::const_iterator, typename Part::iterator>;

    Iterator() = default;
    auto& operator*() const { return *at_; }
    auto* operator->() const { return &*at_; }
    Iterator& operator++() {
      ++at_;
      SkipEmptyParts();
      return *this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.part_ == b.part_ && (a.part_ == kParts || a.at_ == b.at_);
    }

   private:
    friend SpreadMap;
    Iterator(Owner& parts, size_t part) : parts_(&parts), part_(part) {
      if (part_ == kParts) return;
      at_ = (*parts_)[part_].begin();
      SkipEmptyParts();
    }
    Iterator(Owner& parts, size_t part, At at) : parts_(&parts), part_(part), at_(at) {}
    void SkipEmptyParts() {
      while (at_ == (*parts_)[part_].end()) {
        if (++part_ == kParts) return;
        at_ = (*parts_)[part_].begin();
      }
    }

    Owner* parts_ = nullptr;
    size_t part_ = kParts;  // kParts: the end
    At at_{};
  };

 public:
  using value_type = typename Part::value_type;
  using iterator = Iterator<false>;
  using const_iterator = Iterator<true>;

  SpreadMap() {
    for (size_t i = 0; i < kParts; ++i)
      parts_[i].max_load_factor(0.5F + 0.5F * static_cast<float>(i + 1) / static_cast<float>(kParts));
  }

  iterator begin() { return {parts_, 0}; }
  iterator end() { return {parts_, kParts}; }
  const_iterator begin() const { return {parts_, 0}; }
  const_iterator end() const { return {parts_, kParts}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t SizeOfPart(size_t part) const { return parts_[part].size(); }
  // `visit` neither adds elements nor erases any.
  template <class Visit>
  void ForEachInPart(size_t part, const Visit& visit) {
    for (value_type& element : parts_[part]) visit(element);
  }

  iterator find(const Key& key) { return Find<iterator>(parts_, key); }
  const_iterator find(const Key& key) const { return Find<const_iterator>(parts_, key); }
  bool contains(const Key& key) const { return parts_[PartOf(key)].contains(key); }
  Value& at(const Key& key) { return parts_[PartOf(key)].at(key); }
  Value& operator[](const Key& key) { return try_emplace(key).first->second; }
  template <class... Arguments>
  std::pair<iterator, bool> try_emplace(const Key& key, Arguments&&... arguments) {
    const size_t part = PartOf(key);
    const auto [at, added] = parts_[part].try_emplace(key, std::forward<Arguments>(arguments)...);
    size_ += added ? 1 : 0;
    return {iterator(parts_, part, at), added};
  }
  // Returns the next one.
  iterator erase(iterator where) {
    where.at_ = parts_[where.part_].erase(where.at_);
    where.SkipEmptyParts();
    --size_;
    return where;
  }

 private:
  template <class Found, class Owner>
  static Found Find(Owner& parts, const Key& key) {
    const size_t part = PartOf(key);
    const auto at = parts[part].find(key);
    return at == parts[part].end() ? Found(parts, kParts) : Found(parts, part, at);
  }
  // By other bits of the hash than those that choose a bucket.
  static size_t PartOf(const Key& key) { return (std::hash<Key>()(key) >> 40) % kParts; }

  Parts parts_;
  size_t size_ = 0;
};

}  // namespace raylet
