#include "parts/ratings.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace example {
namespace {

constexpr size_t kHeldOutMax = 2000;

// Numbers for names, in the order in which they come.
struct Numbers {
  uint32_t Of(const std::string& name) {
    const auto [found, is_new] = of_.try_emplace(name, static_cast<uint32_t>(names.size()));
    if (is_new) names.push_back(name);
    return found->second;
  }
  std::vector<std::string> names;

 private:
  std::unordered_map<std::string, uint32_t> of_;
};

Ratings Split(const std::vector<std::pair<std::string, std::string>>& likes, size_t users_min, uint64_t seed) {
  std::unordered_map<std::string, size_t> users_of_item;
  for (const auto& [user, item] : likes) ++users_of_item[item];
  Numbers users, items;
  std::vector<std::vector<uint32_t>> of_user;
  for (const auto& [user, item] : likes) {
    if (users_of_item[item] < users_min) continue;
    const uint32_t number = users.Of(user);
    of_user.resize(users.names.size());
    of_user[number].push_back(items.Of(item));
  }
  std::mt19937_64 random(seed);
  std::vector<uint32_t> order;
  for (uint32_t user = 0; user < of_user.size(); ++user) order.push_back(user);
  std::shuffle(order.begin(), order.end(), random);
  Ratings ratings;
  for (const uint32_t user : order) {
    std::vector<uint32_t>& liked = of_user[user];
    if (liked.size() >= 3 && ratings.held_out.size() < std::min(kHeldOutMax, order.size() / 5)) {
      const size_t one = random() % liked.size();
      ratings.held_out.emplace_back(user, liked[one]);
      liked.erase(liked.begin() + static_cast<std::ptrdiff_t>(one));
    }
    for (const uint32_t item : liked) ratings.train.emplace_back(user, item);
  }
  std::shuffle(ratings.train.begin(), ratings.train.end(), random);
  ratings.users = std::move(users.names);
  ratings.items = std::move(items.names);
  if (ratings.held_out.empty()) throw std::runtime_error("there are too few likes to hold any out");
  return ratings;
}

}  // namespace

Ratings RatingsOf(const std::vector<Package>& packages, size_t users_min, uint64_t seed) {
  std::vector<std::pair<std::string, std::string>> likes;
  for (const Package& package : packages)
    for (const std::string& name : package.depends) likes.emplace_back(package.name, name);
  return Split(likes, users_min, seed);
}

Ratings RatingsOfMovieLens(std::istream& in, size_t users_min, uint64_t seed) {
  constexpr double kLiked = 4;
  std::vector<std::pair<std::string, std::string>> likes;
  std::string line;
  std::getline(in, line);  // the names of the columns
  for (size_t number = 2; std::getline(in, line); ++number) {
    const size_t one = line.find(','), two = line.find(',', one + 1);
    double rating = 0;
    if (two == std::string::npos ||
        std::from_chars(line.data() + two + 1, line.data() + line.size(), rating).ec != std::errc())
      throw std::runtime_error("line " + std::to_string(number) + " of the ratings is '" + line +
                               "': it takes a user, a movie and a rating, with commas between them");
    if (rating >= kLiked) likes.emplace_back(line.substr(0, one), line.substr(one + 1, two - one - 1));
  }
  return Split(likes, users_min, seed);
}

}  // namespace example
