#include "parts/words.h"

#include <algorithm>

namespace example {

std::vector<std::string> WordsOf(std::string_view text) {
  constexpr size_t kMin = 2, kMax = 25;
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (word.size() >= kMin && word.size() <= kMax) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (letter || c == '$' || c == '!' || (!word.empty() && (c == '-' || c == '\''))) {
      word += c;
    } else if (c >= 'A' && c <= 'Z') {
      word += static_cast<char>(c - 'A' + 'a');
    } else {
      finish();
    }
  }
  finish();
  return words;
}

std::vector<std::string> WordsOfMail(std::string_view mail) {
  const size_t body = std::min(mail.find("\n\n"), mail.size());
  std::vector<std::string> words = WordsOf(mail.substr(body));
  for (size_t line = 0; line < body;) {
    const size_t end = std::min(mail.find('\n', line), body);
    constexpr std::string_view kSubject = "Subject:";
    if (mail.substr(line).starts_with(kSubject))
      for (const std::string& word : WordsOf(mail.substr(line + kSubject.size(), end - line - kSubject.size())))
        words.push_back("subject:" + word);
    line = end + 1;
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

}  // namespace example
