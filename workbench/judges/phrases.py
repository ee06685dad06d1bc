r"""How a text speaks that is written for the model that reads it, and not for people.

`INSTRUCTS`, `ANSWERS` and `ELSEWHERE_LATIN` are matched against words in small letters without
accents, one blank before each and one behind the last, whatever stood between them; in their
tables `_` is that blank. `FRAME_*` and `SPEAKS` are matched with the punctuation left in. Headlines
quote orders, too ("ignore the noise", "Congress overrides the veto"): a phrase stands here only
with what an ordinary headline does not say with it.
"""

from __future__ import annotations

import re
import unicodedata


def bare(text: str) -> str:
    """Without accents."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize(
        "NFC", "".join(char for char in parts if unicodedata.category(char)[0] != "M")
    )


def _of_words(table: str) -> re.Pattern[str]:
    """A table of alternatives, laid out freely."""
    lines = (line.strip() for line in bare(table).splitlines())
    return re.compile(f" (?:{''.join(lines).replace('_', ' ')})(?= )")


_UNHEED = (
    "(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overlook|overrid(?:e|ing)|bypass|neglect"
    "|do_not_follow|don_t_follow|stop_following|pay_no_attention_to|set_aside)"
)
_DROP = "(?:drop|discard|clear|reset|cancel|skip|delete|suspend|erase|abandon|dismiss)"
_THOSE = (
    "(?:(?:all|any|every|the|your|you|these|those|my|of|other|previous|prior|above|earlier|past"
    "|preceding|former|foregoing|existing|current|following|original|initial|system|safety|risk"
    "|and)_)*"
)
_EARLIER = "(?:previous|prior|above|earlier|preceding|foregoing|original|initial)"
_ORDERS = (
    "(?:instructions?|prompts?|directives?|guidelines?|commands?|orders?|rules?|messages?|texts?"
    "|contexts?|constraints?|guardrails?|safeguards?|programming|training|polic(?:y|ies))"
)
_ITEMS = "(?:(?:news_)?items?|headlines?|data|features?|votes?|numbers?|inputs?|evidence|feeds?)"
_LET = (
    "(?:approve|accept|allow|authori[sz]e|green_?light|wave_through|let|execute|enter|take|open"
    "|pass|clear|permit|confirm|endorse|(?:proceed|go_ahead)_with)"
)
_TRADE = "(?:trade|entry|entries|case|signal|verdict|position|long|short|order|setup|candidate)s?"
_MODEL = (
    "(?:ai|a_i|llms?|gpt|chatgpt|claude|gemini|assistants?|(?:language_|ai_|reviewing_)?models?"
    "|evaluators?|ai_(?:judge|agent|reviewer|evaluator)s?|trading_(?:bot|model|agent|assistant)s?)"
)
_OWNER = (
    "(?:developers?|administrators?|admin|operators?|creators?|owner|supervisor|boss|cio"
    "|desk(?:_head)?|head_of_(?:risk|trading|desk|the_desk)"
    "|(?:chief_)?risk_(?:desk|manager|officer|team|committee)|anthropic|openai|system|compliance)"
)
_MODE = "(?:developer|debug|god|dan|admin|unrestricted|jailbreak)_mode"

INSTRUCTS = _of_words(
    rf"""
    {_UNHEED}_(?:\w+_){{0,4}}?(?:instructions?|(?:system_)?prompt|programming)
    |{_UNHEED}_{_THOSE}(?:{_EARLIER}|your|all|any|other|these|system|risk|safety)_(?:\w+_)?{_ORDERS}
    |{_UNHEED}_{_THOSE}{_ORDERS}_(?:above|before|given|you)
    |{_UNHEED}_{_THOSE}(?:above|preceding|foregoing|aforementioned)(?=_(?:and|then|proceed|this|$))
    |{_UNHEED}_(?:everything|anything|all|whatever|what)(?:_that)?(?:_\w+){{0,2}}_
        (?:above|before_this|prior|previously|so_far|preced(?:es|ed|ing)|(?:came|comes)_before
        |you_(?:were|have_been|ve_been|are)_(?:told|instructed|given|asked))
    |(?:ignore|disregard)_(?:(?:all|any|the|every)_)*
        (?:other|previous|above|following|remaining|earlier)_{_ITEMS}
    |{_DROP}_{_THOSE}(?:your|{_EARLIER})_(?:\w+_)?{_ORDERS}
    |(?:your|{_EARLIER})_(?:(?:system_)?(?:instructions?|prompt)|programming|guardrails)
    |system_prompt
    |(?:begin|start|end|new|updated|revised|hidden|secret|follow_these|following|important|special
        |additional|override)_(?:of_)?(?:the_)?(?:system_)?instructions?
    |(?:your|here_is_a|here_is_your)_(?:new|real|actual|true|only|next)_
        (?:task|role|instructions?|job|objective|goal|mission|purpose)
    |new_task_(?:is|for_you|begins?)|rules_you_(?:were|have_been)_given
    |(?:your|{_EARLIER})_(?:{_ORDERS}|directions)_(?:\w+_){{0,2}}?(?:no_longer_apply|do_not_apply
        |(?:is|are)_(?:void|off|suspended|lifted|obsolete)|(?:has|have)_(?:changed|expired|ended))
    |you_(?:must|should|need_to|have_to|shall|will
        |are_(?:required|instructed|ordered|commanded|obliged|asked|told|authori[sz]ed|allowed)_to)
        _(?:(?:now|always|only|immediately|therefore)_)?(?:proceed|approve|answer|respond|output
        |reply|say|return|disregard|set|decide|comply|obey|report|recommend|skip|veto|treat
        |ignore_(?:all|any|every|previous|your|the_(?:above|previous|other|rest)))
    |you_are_(?:now_)?(?:(?:a|an|the|my|our|only)_)?(?:\w+_)?(?:dan|ai|llm|chatgpt|claude
        |unrestricted|uncensored|language_model|assistant|evaluator|jailbroken|no_longer
        |free_(?:from|of)|(?:developer|debug|god|test|maintenance)_mode)
    |(?:if|when|since|because)_you_(?:are|re)_(?:an?_)?(?:ai|llm|language_model|model|assistant
        |evaluator|reviewing|evaluating|deciding|judging)
    |(?:dear|attention|(?:note|message|notice|memo)_to|hello|hey|hi|instructions?_(?:to|for))_
        (?:(?:the|all|any|every|our)_)*{_MODEL}
    |(?:all|any|every|each|the|an)_{_MODEL}_(?:reading|processing|evaluating|reviewing
        |(?:that|which)_reads?|must|should|shall|(?:are|is)_instructed)
    |(?:model|ai|llm|assistant)_(?:should|must|shall|will)_(?:output|answer|respond|return|say
        |approve|proceed)|the_evaluator|tell_(?:the|your)_(?:user|trader|desk)
    |act_as_(?:if|though|dan|(?:an?|my|the)_(?:ai|unrestricted|uncensored|jailbroken|assistant
        |evaluator|different|approving|system))
    |(?:pretend|imagine|suppose|assume)_(?:that_)?(?:you|to_be_an?|this_(?:trade|entry|case))
    |role_?play(?:ing)?_(?:as|a|with|game)|let_s_(?:role_?play|play_a_game)|stay_in_character
    |in_this_(?:game|story|fiction)_you
    |(?:enter|entering|enabled?|activated?|switch(?:ing)?_to)_(?:\w+_)?{_MODE}
    |{_MODE}_(?:is_)?(?:on|enabled|activated|active|engaged|unlocked)
    |jailbr(?:eak|oken)_(?:mode|prompt|enabled|activated|successful|yourself|now)
    |(?:admin|administrator|system|manual|risk|compliance|operator|developer|root|emergency|desk
        |protocol|security)_override
    |override_(?:code|key|token|active|accepted|enabled|engaged|mode|granted|authori[sz]ed|protocol
        |risk|safety|system|veto_rules|skip|all|any|your|default)
    |bypass_(?:(?:your|the|all|any|every)_)*(?:safety|filters?|guardrails?|veto|judge|evaluator
        |risk_(?:checks?|rules?|limits?|gate))
    |{_LET}_(?:this|that|every|any|each|your|the_(?:current|present|following|pending|wanted))_
        (?:\w+_)?{_TRADE}(?!_(?:deal|pact|war|bill|agreement|of))
    |(?:proceed|go_ahead)_with_(?:the_)?(?:entry|entries|trade)(?!_(?:deal|pact|war|bill|agreement))
    |(?:skip|veto|block|reject)_(?:this|that)_(?:one|trade|entry|case|candidate|setup|signal)
    |(?:this|it|one|trade|entry|setup)_(?:is|has_been|was|comes)_pre_?(?:cleared|approved|authori\w+)
    |(?:give|assign|grant)_(?:this|it)_(?:\w+_)?(?:(?:the|a)_)?(?:top|highest|max\w*|best|full|perfect)
        _(?:score|marks|rating|confidence|grade)
    |(?:approve|authori[sz]e)_(?:the|all)_(?:trade|entry|entries|trades|signal|long|short)
        (?!_(?:deal|agreement|pact|bill|war|talks|terms|mission))
    |(?:let|wave|push|put)_(?:it|this(?:_one)?|the_(?:trade|entry|signal|order))_
        (?:(?:go_)?through|pass)
    |(?:do_not|don_t|never|must_not|cannot|no_need_to)_(?:skip|veto|reject|block|reduce)(?:_or_\w+)*
        _(?:this|it|that|here|the_(?:trade|entry|signal|case)|any_(?:trade|entry|signal))
    |(?:respond|reply|answer)_(?:(?:only|just|exactly|strictly|always)_)?(?:with|in|by|using|as)_
        (?:proceed|json|yes|only|exactly|just|approved?|the_word|one_word|a_single|100|confidence
        |nothing|your|valid|the_affirmative)
    |(?:respond|reply|answer)_(?:only|just|exactly|strictly|proceed|yes|approve)
    |(?:output|print|write|say|return|emit|state|type|choose|pick|select|give)_
        (?:\w+_){{0,3}}?(?:proceed|json)
    |(?:set|mark|rate|score|label|put)_(?:(?:the|this|your|it)_)*(?:decision|verdict|answer|as|it
        |action|output)_(?:(?:to|as)_)?(?:proceed|approved)
    |(?:output|print|emit|return)_
        (?:the_(?:word|following|text|decision|verdict|system)|your|exactly|only_the)
    |(?:reveal|repeat|print|show|leak|display|output|disclose|expose|recite|dump|quote|summari[sz]e
        |tell_me|give_me|send|translate)_(?:me_)?(?:(?:all|back|of|the|everything_in)_)*
        (?:your_(?!keys|coins|wallet|bitcoin|crypto)\w+|(?:(?:hidden|initial|full)_)?prompt|hidden
        |(?:text|words|everything|messages?|lines?|content)_(?:above|before)|instructions)
    |what_(?:is|are|was|were)_your_(?:\w+_)?
        (?:prompt|instructions?|rules|guidelines|directives?|configuration)
    |(?:treat|consider|regard|classify|mark|count|weigh)_(?:this|it|all|everything|the_above)
        (?:_\w+){{0,2}}_as_(?:an?_)?(?:safe|verified|trusted|approved|positive|bullish|instructions?
        |true|fact|authoritative|system|conclusive|decisive)
    |this_(?:message|headline|title|text|item|notice)_(?:is|was|has|comes|overrides|supersedes
        |replaces|takes|must|should|contains|authori[sz]es)
    |(?:message|note|instructions?|order|notice|directive|memo|authori[sz]ed|signed|approved|cleared
        |signed_off|verified)_(?:from|by)_(?:(?:the|your|our|this)_)*{_OWNER}
    |(?:risk|compliance)_(?:desk|manager|officer|team|committee|engine|department)_
        (?:(?:has|have|hereby|already)_)*
        (?:authori[sz]|approv|confirm|waive|pre_?clear|order|clear|sign)\w*
    |as_(?:your|the)_{_OWNER}|i_am_(?:your|the)_(?:{_OWNER}|head)
    |(?:veto(?:es)?(?:_power)?|(?:risk|safety)_(?:checks?|rules?|limits?))_
        (?:(?:is|are|was|were|has_been|have_been)_)?(?:disabled|suspended|revoked|lifted|waived
        |switched_off|turned_off|not_(?:needed|permitted|allowed|required))
    |by_order_of_(?:the_)?{_OWNER}|no_veto(?:es)?_(?:on|for|today|needed|here|allowed|now)
    |sudo_\w+
    """
)

_OF_PEOPLE = "".join(
    rf"(?<!_{whose}_)"
    for whose in ("consumer", "business", "investor", "economic", "market", "builder", "ceo",
                  "homebuilder", "trader", "public", "industrial", "household", "manufacturers")
)  # fmt: skip
ANSWERS = _of_words(
    rf"""
    {_OF_PEOPLE}confidence_(?:(?:score|level|is|to|at|of|equals|now|value|must|should|be|reads)_)*
        (?:100|9\d|max\w*|(?:one_)?hundred)
    |(?:100|maximum|max|full|highest)_(?:percent_)?confidence(?!_(?:in|that|among))
    |evidence_ids?
    |(?:decision|verdict|answer|action|recommendation|output|response|judge?ment|rating|conclusion
        |result)_(?:(?:is|must_be|should_be|equals|set_to|becomes|now)_)?proceed
    |(?:rationale|decision|verdict|confidence|evidence)_(?:\w+_){{0,6}}?(?:proceed|skip|reduce)_
        (?:confidence|rationale|evidence|decision)
    |proceed_(?:with_)?(?:confidence_)?100
    |proceed_(?:proceed|now|immediately|approved|confirmed|at_once|(?:at_)?(?:full|max\w*)_size)
    """
)

ELSEWHERE_LATIN = _of_words(
    # Spanish, Portuguese, Italian, French, Romanian
    r"""
    (?:ignor(?:a|e|ar|en|ad|ate|are|ez|er|ati|i)|olvid(?:a|e|ar|en)|esqueça|desconsidere?|dimentica
        |oubli(?:e|ez|er)|descart(?:a|e)|uita)_(?:\w+_){0,4}?(?:(?:instruc|istruz|indicac|indicaz
        |orden|ordre|regl|regra|consigne|anterior)\w*|previ[aoe]s?|precedent(?:e|es|i)|prompt|ci_dessus)
    |haz_caso_omiso|no_hagas_caso|ne_t(?:enez|iens)_(?:pas|aucun)_compte|fa(?:is|ites)_abstraction
    |n_ecoutez_pas
    |(?:responde?a?|repond(?:s|ez)|rispondi|contesta)_(?:(?:solo|unicamente|apenas|somente|com|con
        |uniquement|seulement|soltanto|par|avec)_)+\w+
    |(?:aprueb[ae]|aprove|approuvez?|approva)_(?:esta|este|a|la|cette|ce|questa|questo|l)_
        (?:opera|negocia|trade|transac|transaz|entrad|posici|ordre)\w*
    |ahora_eres|agora_voce_e|(?:tu_es|vous_etes)_maintenant|ora_sei|du_bist_(?:jetzt|nun)
    """
    # German, Dutch, Swedish, Polish, Czech, Turkish, Indonesian, Vietnamese
    r"""
    |(?:ignorier\w*|vergiss|vergesst|vergessen_sie|missacht\w*|negeer|vergeet|ignorera|glöm
        |zignoruj|ignoruj(?:te)?|zapomnij|pomiń|zapomeň)_(?:\w+_){0,5}?(?:anweisung|instruktion
        |instruct|instruk|vorherig|bisherig|vorangegangen|obige|regel|vorige|eerdere|tidigare
        |poprzedni|poleceni|předchozí|pokyny|zasad)\w*
    |(?:antworten?(?:_sie)?|antwoord|svara|odpowiedz)_(?:nur|mit|ausschliesslich|alleen|met|endast
        |tylko)
    |genehmigen?(?:_sie)?_(?:diesen|diese|den)_(?:handel|trade|einstieg|position)
    |(?:önceki|yukaridaki|tüm|bütün)_(?:\w+_){0,3}?(?:talimat|komut|kural)\w*_(?:\w+_){0,3}?
        (?:yok_?say|görmezden|unut|dikkate_alma|göz_ardi)\w*
    |(?:abaikan|lupakan)_(?:\w+_){0,3}?(?:instruksi|perintah|sebelum|aturan)\w*
    |(?:bo_qua|phot_lo|quen)_(?:\w+_){0,3}?(?:huong_dan|chi_dan|lenh|chi_thi)
    """
)

SPEAKS = re.compile(
    "|".join(
        bare(pattern)
        for pattern in (
            # Russian and Ukrainian
            r"\b(?:про)?(?:игнорир\w*|ігнору\w*|забудь\w*|не обращай\w*|відкинь)\b.{0,40}?"
            r"(?:инструкц|інструкц|предыдущ|попередн|указани|вказівк|правил|команд|выше)",
            r"\b(?:ответь\w*|отвечай\w*|выведи\w*|напиши|одобри\w*|оцени\w*|відповід\w*)\s.{0,20}?"
            r"(?:proceed|json|только|тільки|сделку)",
            # Greek, Arabic, Persian, Hebrew, Hindi
            r"(?:αγνόησε|αγνοήστε|ξέχασε).{0,40}?(?:οδηγί|εντολ|προηγούμεν)",
            r"(?:تجاهل|انس|أهمل|نادیده).{0,40}?(?:تعليمات|الأوامر|السابقة|دستور)",
            r"دستورالعمل.{0,30}?نادیده|(?:התעלם|תתעלם|שכח).{0,30}?(?:הוראות|הקודמות)",
            r"(?:पिछल|सभी|उपरोक्त|पूर्व).{0,30}?(?:निर्देश|आदेश).{0,20}?(?:अनदेख|नज़रअंदाज़|भूल|उपेक्षा)",
            # Chinese, Japanese, Korean, Thai
            r"(?:忽略|忽視|忽视|无视|無視|忘记|忘記|忘掉|不要理会|不要理會|放弃).{0,14}?"
            r"(?:指令|指示|之前|以上|前面|先前|上述|说明|說明|规则|規則|提示)",
            r"(?:指示|命令|ルール|プロンプト|指令|規則).{0,8}?(?:無視|忘れ|破棄|従わない)",
            r"(?:回答|输出|輸出|回复|回覆|出力|返答|答え).{0,8}?(?:proceed|批准|通过|承認)",
            r"(?:지시|명령|지침|프롬프트|규칙).{0,10}?(?:무시|잊)",
            r"(?:เพิกเฉย|ละเว้น|ลืม).{0,30}?(?:คำสั่ง|คำแนะนำ)",
            r"(?:你现在是|你現在是|あなたは今|당신은 이제)",
            r"(?:批准|通过|承認).{0,4}?(?:这笔|此|この)(?:交易|取引)",
        )
    )
)

_ROLE = (
    "(?:system|assistant|human|user|developer|operator|admin(?:istrator)?|tool|function|root"
    "|moderator)"
)
_KIND = r"(?:\s(?:message|prompt|note|override|notice|instructions?|command|update|turn))?"
_PARTS = (
    r"(?:system|assistant|user|human|instructions?|prompt|headlines?|case|document|context|input|sys"
    r"|inst|json|function\w*|tool\w*|result|admin|untrusted\w*|news|item|answer|decision|thinking)"
)
FRAME_SIGNS = re.compile(
    rf"\[\s?/?(?:{_ROLE}|inst|sys|prompt|instructions?)\b\s?[:\]]|\(\s?{_ROLE}{_KIND}\s?[:)]"
    rf"|</?\s*{_PARTS}\b|<\s?\||\|\s?>|<<|>>>|###|```|====|-----|\"\"\"|'''|~~~|\*\*\*\*"
    r"|\{(?!(?:wallet|core)\})|\}(?<!\{wallet\})(?<!\{core\})"  # Safe{Wallet} is a firm
    r"|\]\s*\]|\[\s*\[|\*/|/\*|-->|\[\s*\"|\"\s*\]|\\[nrt]\s*\w+\s*:|\$\("
    r"|\"\w+\"\s*:\s*(?:[\[{\"\d]|true|false|null)"
    r"|/(?:system|override|approve|bypass|admin|headlines|data|case|inst)(?:$|[\s\]>])"
)
FRAME_WORDS = re.compile(
    r"(?:assistant|human|developer|sysadmin|admin|root)(?:\s(?:message|prompt|note))?\s?[:>»]"
    r"|(?:evidence_ids?|decision|rationale|confidence|verdict|headlines|wanted|missing_or_stale)"
    r"[\"']?\s*(?:=|[\"']\s*:)"
    r"|new (?:task|instructions?|system prompt|directive|role|goal)\s?[:\-–—=]|drop table"
    r"|system (?:message|prompt|note|notice|instruction|command)\b"
    r"|end of (?:the )?(?:input|prompt|context|headlines?|untrusted|user data|instructions?|json)\b"
    r"|end of (?:case|data|file|text|news|feed|list)\b(?=\W*(?:$|[.:;!\-\]|]|new|now|begin))"
)
# These count only where a clause begins.
FRAME_STARTS = re.compile(
    rf"(?:{_ROLE}{_KIND}|(?:ai|llm) (?:reviewer|evaluator|judge|model))\s*:"
    r"|(?:end|begin|start|close) (?:of )?(?:the )?(?:untrusted |user |news )?(?:input|prompt"
    r"|context|headlines?|message|instructions?|untrusted|data|json|document|transcript|case|system"
    r"|task)\b"
)
